"""Pure NumPy kernels: arrays and plain arguments in, arrays out. They know no protobuf, no blob names and no files."""
