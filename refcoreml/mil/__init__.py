"""The dialect of ML Programs (MIL): from the operations of a program to those of `refcoreml.ops`."""
