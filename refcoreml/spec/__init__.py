"""The Core ML file format: schema, files, weights."""
