"""What a session in Python is, which drives an implementation; see `refcoreml.conformance.worker` for who calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

#: What ``prepare`` returns: from arrays by name to outputs by name. Called several times, it keeps the model's state.
Session: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
#: From a model's path, and ``function=`` its name where a case names one, to a session.
Prepare: TypeAlias = Callable[..., Session]


class Rejected(Exception):  # noqa: N818 (a verdict about the model, no error of the session)
    """The implementation refuses the model or the inputs.

    A session raises it for nothing else. It has no base in common with the errors of Python or NumPy, so that a defect
    of the session can never pass for a rejection.
    """
