"""The command line: ``refcoreml predict``, ``inspect``, ``trace``, ``compare``, ``study``, ``demo``."""

from refcoreml.cli.main import main

__all__ = ["main"]
