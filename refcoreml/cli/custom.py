"""``--custom FILE``: Python files of the user's own, with the code of custom layers and models."""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from refcoreml import custom, values
from refcoreml.cli.console import nonempty
from refcoreml.errors import CallbackError, UsageError, within


def add_custom_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names files with code; the main program runs them."""
    parser.add_argument(
        "--custom",
        type=nonempty,
        action="append",
        default=[],
        metavar="FILE",
        help="run a Python file that registers custom layers or models; may be repeated",
    )


@contextmanager
def custom_code(files: Sequence[str]) -> Iterator[None]:
    """Run the files; what they register lasts until the end of the block.

    Raises:
        UsageError: a file does not exist, registers nothing, or a name that is taken.
        CallbackError: a file fails.
    """
    with custom.scope():
        register(files)
        yield


def register(files: Sequence[str]) -> None:
    """Run the files; what they register stays, as other processes of a command need it."""
    for index, file in enumerate(files):
        with within(f"--custom {file}"):
            _run(Path(file), f"_refcoreml_custom_{index}")


def _run(path: Path, name: str) -> None:
    if not os.path.isfile(path):
        raise UsageError("there is no such file")
    before = len(custom.LAYERS.entries), len(custom.MODELS.entries)
    spec = importlib.util.spec_from_loader(name, importlib.machinery.SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for it there
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file may raise anything, and call exit
        raise CallbackError(f"raised {values.reason(error)}") from error
    if (len(custom.LAYERS.entries), len(custom.MODELS.entries)) == before:
        raise UsageError(
            "registers nothing",
            remedy='Mark classes or functions in it with @refcoreml.custom_layer("ClassName") or custom_model',
        )
