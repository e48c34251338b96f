"""Reads the arguments, runs one command, turns errors into messages and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import refcoreml
from refcoreml.cli import compare, conformance, demo, inspect, oracle, predict, preview, quantize, study, trace
from refcoreml.cli.console import errors
from refcoreml.cli.custom import custom_code
from refcoreml.errors import (
    InputError,
    InvalidModelError,
    MalformedModelError,
    RefCoreMLError,
    UnsupportedModelError,
    UsageError,
)

#: Exit codes by whose fault it is; 0 is success and 1 a check that failed, such as a layer that goes bad in ``trace``.
EXIT_CODES: list[tuple[type[RefCoreMLError], int]] = [
    (UsageError, 2),
    (InputError, 2),
    (MalformedModelError, 3),
    (InvalidModelError, 3),
    (UnsupportedModelError, 4),
    (RefCoreMLError, 5),
]

_EPILOG = """\
exit codes: 0 success, 1 a check failed, 2 wrong arguments or inputs, 3 a damaged or invalid model,
            4 a valid model that refcoreml cannot run, 5 any other failure, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    top = argparse.ArgumentParser(
        prog="refcoreml",
        description="Run, look into, trace and compare Core ML models on any operating system.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"refcoreml {refcoreml.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (predict, preview, inspect, trace, oracle, quantize, compare, study, conformance, demo):
        module.add_parser(commands)
    return top


def _warn(message: str) -> None:
    errors.print("[yellow]warning:[/] ", end="")
    errors.print(message, markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        with warnings.catch_warnings(), custom_code(getattr(options, "custom", [])):
            warnings.simplefilter("always", refcoreml.RefCoreMLWarning)
            seen: set[str] = set()  # a thousand samples may have the same thing to say

            def show(message: Warning | str, *_: Any, **__: Any) -> None:
                if str(message) not in seen:
                    seen.add(str(message))
                    _warn(str(message))

            warnings.showwarning = show
            return int(options.run(options))
    except RefCoreMLError as error:
        errors.print("[bold red]error:[/] ", end="")
        errors.print(f"{error}", markup=False, highlight=False, soft_wrap=True)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except KeyboardInterrupt:
        errors.print("interrupted")
        return 130
    except BrokenPipeError:
        # The reader has gone, as in ``refcoreml inspect MODEL | head``; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
