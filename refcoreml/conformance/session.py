"""What a session in Python is, which drives an implementation; see `refcoreml.conformance.worker` for who calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

#: What ``prepare`` returns: from arrays by name to outputs by name.
Session: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
#: From a model's path to a session.
Prepare: TypeAlias = Callable[[str], Session]


class Rejected(Exception):  # noqa: N818 (a verdict about the model, no error of the session)
    """The implementation refuses the model or the inputs.

    A session raises it for nothing else. It has no base in common with the errors of Python or NumPy, so that a defect
    of the session can never pass for a rejection.
    """
