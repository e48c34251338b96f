"""Material by which judges of conversions and of recorded outputs are measured: right, faulty, and labelled."""
