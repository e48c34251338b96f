"""The command line: ``refcoreml predict``, ``inspect``, ``trace``, ``compare``, ``demo``."""

from refcoreml.cli.main import main

__all__ = ["main"]
