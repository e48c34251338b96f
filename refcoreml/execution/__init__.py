"""Running steps: what every dialect shares, without names of layers, messages or files."""
