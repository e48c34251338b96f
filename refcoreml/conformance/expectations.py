"""The implementer's own list of failures that are known.

A text file, one line a pattern of case ids, with ``*`` for any text, then ``|`` and the reason, which may hold a link::

    # what our GPU cannot do yet
    convolution/dilation-*/wide | sums in half precision, https://example.org/tracker/17

The list is strict: a case that is listed and passes counts as a failure of the list, and so does a line that fits no
case of a run of the whole suite.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from refcoreml.errors import UsageError
from refcoreml.storage.reading import read_text


@dataclass(frozen=True)
class Expectation:
    """A line of the list."""

    pattern: str
    reason: str


def read_expectations(path: Path) -> list[Expectation]:
    """Read the list; raise `UsageError` where a line is not of the form."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from error
    result = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pattern, bar, reason = (part.strip() for part in line.partition("|"))
        if not pattern or not bar or not reason:
            raise UsageError(
                f"line {number} is {line.strip()!r}",
                where=str(path),
                remedy="Write: a pattern of case ids | the reason",
            )
        result.append(Expectation(pattern, reason))
    return result


def expected(case_id: str, expectations: Iterable[Expectation]) -> Expectation | None:
    """Return the first line that fits a case."""
    return next((item for item in expectations if fnmatch.fnmatchcase(case_id, item.pattern)), None)
