"""Every error that refcoreml raises on purpose, one class per party at fault.

Each message says where in the model (or in the inputs) the problem lies, what was expected, what was found, and, where
there is a remedy, what to do. The parts are kept as attributes, so that a program can show them its own way.
`harmless` is for whoever shows text that is from a model or a file.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import NoReturn

_HALF_MESSAGE = 4000

#: Controls (ESC and the 8-bit CSI among them), marks that reorder or hide text, line separators, lone surrogates.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)


def harmless(text: str, keep: str = "") -> str:
    """Return text from a model or a file so that it can be shown: what would steer a terminal or hide is escaped.

    Escapes are those of a Python string. Letters of all scripts stay, and so do joiners (emoji).

    Args:
        text: any string.
        keep: characters to leave as they are, such as the newlines of text that has several lines of its own.
    """
    return _HARMFUL.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class _Completing(ABC):
    """A context that completes errors raised inside; a class, since many thousands are entered while a model is loaded.

    Attributes:
        text: what it completes them by.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> _Completing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, RefCoreMLError):
            self.complete(error)

    @abstractmethod
    def complete(self, error: RefCoreMLError) -> None:
        """Complete an error."""


class within(_Completing):  # noqa: N801 (read as a function)
    """Prefix the place of errors raised inside with another one, such as a model in a pipeline."""

    __slots__ = ()

    def complete(self, error: RefCoreMLError) -> None:
        """Set the place."""
        error.where = placed(self.text, error.where)


def placed(place: str, where: str) -> str:
    """Return a place with another one around it."""
    return f"{place}, {where}" if where else place


class at(_Completing):  # noqa: N801 (read as a function)
    """Set the place of errors raised inside that have none yet."""

    __slots__ = ()

    def complete(self, error: RefCoreMLError) -> None:
        """Set the place."""
        error.where = error.where or self.text


class found_by(_Completing):  # noqa: N801 (read as a function)
    """Set the rule of errors raised inside that have none yet."""

    __slots__ = ()

    def complete(self, error: RefCoreMLError) -> None:
        """Set the rule."""
        error.rule = error.rule or self.text


class RefCoreMLError(Exception):
    """Base class of all errors of this package.

    Attributes:
        problem: what is wrong, with the values at hand.
        where: the place, such as ``neuralNetwork.layers[12] 'conv3' (convolution)``; empty when there is none.
        remedy: what the reader can do about it; empty when nothing is known.
        rule: the check that found it, such as ``layer.weights``, where a model is checked; see `refcoreml.problems`.
        shapes: where the shapes of a network's blobs do not fit a layer, those that were known before it, by blob.
    """

    rule: str = ""
    shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        super().__init__(problem)

    def __str__(self) -> str:
        text = f"{harmless(self.where)}: {self.problem}" if self.where else self.problem
        if self.remedy:
            text = f"{text.rstrip('.')}. {self.remedy}"
        text = harmless(text, keep="\n")
        # A hostile file may hold names of megabytes.
        return text if len(text) <= 2 * _HALF_MESSAGE else f"{text[:_HALF_MESSAGE]} ... {text[-_HALF_MESSAGE:]}"


class MalformedModelError(RefCoreMLError):
    """The bytes are not a Core ML model: truncated, empty, of another format, or a damaged package."""


class ModelNotFoundError(MalformedModelError, FileNotFoundError):
    """There is no file or folder at the given path."""

    __str__ = RefCoreMLError.__str__


class InvalidModelError(RefCoreMLError):
    """The model breaks a rule of the Core ML specification."""


class LimitError(InvalidModelError):
    """The model needs more memory or time than `refcoreml.Limits` allow; with higher limits it may be fine."""

    rule = "limits"


class UnsupportedModelError(RefCoreMLError):
    """The model is, or may be, valid, but refcoreml cannot run it (yet)."""


class InputError(RefCoreMLError, ValueError):
    """The inputs of a prediction do not fit what the model declares."""

    __str__ = RefCoreMLError.__str__


class UsageError(RefCoreMLError, ValueError):
    """A function of this package was called with arguments that make no sense."""

    __str__ = RefCoreMLError.__str__


class CallbackError(RefCoreMLError):
    """User code called by refcoreml (a custom layer, an observer) failed or returned something unusable."""

    rule = "code"


class InternalError(RefCoreMLError):
    """refcoreml failed on a model that it had accepted: a defect of refcoreml, worth a report."""


class RefCoreMLWarning(UserWarning):
    """Something in a model or in its outputs that runs, but deserves a look."""

    def __str__(self) -> str:
        return harmless(super().__str__(), keep="\n")


class Placed:
    """What has a place in a model, and refuses what is wrong there.

    Attributes:
        where: the place, for errors.
    """

    where: str

    def invalid(self, problem: str, remedy: str = "") -> NoReturn:
        """Raise `InvalidModelError` at this place."""
        raise InvalidModelError(problem, where=self.where, remedy=remedy)

    def unsupported(self, problem: str, remedy: str = "") -> NoReturn:
        """Raise `UnsupportedModelError` at this place."""
        raise UnsupportedModelError(problem, where=self.where, remedy=remedy)

    def require(self, condition: bool, problem: str, remedy: str = "") -> None:
        """Raise `InvalidModelError` at this place unless the condition holds."""
        if not condition:
            self.invalid(problem, remedy)
