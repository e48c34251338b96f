"""Reads the arguments, runs one command, turns errors into messages and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from refcoreml import values
from refcoreml.cli import compare, conformance, demo, inspect, judge, oracle, predict, preview, quantize, study, trace
from refcoreml.cli.console import errors, out
from refcoreml.cli.custom import custom_code
from refcoreml.cli.exits import INTERNAL, INTERRUPTED, OTHER, code_of, explained
from refcoreml.errors import RefCoreMLError
from refcoreml.features import RefCoreMLWarning
from refcoreml.version import VERSION

#: The environment variable that makes `main` show where an unexpected error was raised.
_TRACEBACK = "REFCOREML_TRACEBACK"


class _Parser(argparse.ArgumentParser):
    """A parser whose commands refuse arguments that they do not know themselves, with their own usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and end the program if anything is left."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


def parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    top = _Parser(
        prog="refcoreml",
        description="Run, inspect, trace, quantize and compare Core ML models on any operating system.",
        epilog=explained(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"refcoreml {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (predict, preview, inspect, trace, oracle, judge, quantize, compare, study, conformance, demo):
        module.add_parser(commands)
    return top


def _warn(message: str) -> None:
    errors.print("[yellow]warning:[/] ", end="")
    errors.print(message, markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names have more letters than many a terminal
    try:
        code = _run(arguments)
        out.flush()
    except SystemExit:  # the parser's, which has perhaps printed its help
        out.flush()
        raise
    except KeyboardInterrupt:
        errors.print("interrupted")
        return INTERRUPTED
    except RefCoreMLError as error:
        _tell(str(error))
        return code_of(error)
    except OSError as error:
        _tell(f"{error.filename}: {error.strerror}" if error.filename else values.reason(error))
        return OTHER
    except MemoryError:
        _tell("the memory is used up")
        return OTHER
    except Exception as error:
        return _blame_ourselves(error)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    with warnings.catch_warnings(), custom_code(getattr(options, "custom", [])):
        warnings.simplefilter("always", RefCoreMLWarning)
        seen: set[str] = set()  # a thousand samples may have the same thing to say

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            if str(message) not in seen:
                seen.add(str(message))
                _warn(str(message))

        warnings.showwarning = show
        return int(options.run(options))


def _tell(problem: str) -> None:
    errors.print("[bold red]error:[/] ", end="")
    errors.print(problem, markup=False, highlight=False, soft_wrap=True)


def _blame_ourselves(error: Exception) -> int:
    """Report an error that no part of refcoreml expected."""
    hint = f"Set {_TRACEBACK}=1 to see where, and please report it"
    if os.environ.get(_TRACEBACK, "") not in ("", "0"):
        errors.write("".join(traceback.format_exception(error)))
        hint = "Please report it"
    _tell(f"this is a fault of refcoreml, not of the model or the arguments: {values.reason(error)}. {hint}")
    return INTERNAL
