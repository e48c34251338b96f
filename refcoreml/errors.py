"""Every error that refcoreml raises on purpose, one class per party at fault.

Each message says where in the model (or in the inputs) the problem lies, what was expected, what came instead, and,
where there is a remedy, what to do. The parts are kept as attributes, so that a program can show them its own way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_HALF_MESSAGE = 4000


@contextmanager
def within(place: str) -> Iterator[None]:
    """Errors raised inside say that their place is in another one, such as a model in a pipeline."""
    try:
        yield
    except RefCoreMLError as error:
        error.where = f"{place}, {error.where}" if error.where else place
        raise


class RefCoreMLError(Exception):
    """Base class of all errors of this package.

    Attributes:
        problem: what is wrong, with the values at hand.
        where: the place, such as ``neuralNetwork.layers[12] 'conv3' (convolution)``; empty when there is none.
        remedy: what the reader can do about it; empty when nothing is known.
    """

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        super().__init__(problem)

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        if self.remedy:
            text = f"{text.rstrip('.')}. {self.remedy}"
        # A hostile file may hold names of megabytes.
        return text if len(text) <= 2 * _HALF_MESSAGE else f"{text[:_HALF_MESSAGE]} ... {text[-_HALF_MESSAGE:]}"


class MalformedModelError(RefCoreMLError):
    """The bytes are not a Core ML model: truncated, empty, of another format, or a damaged package."""


class ModelNotFoundError(MalformedModelError, FileNotFoundError):
    """There is no file or folder at the given path."""

    __str__ = RefCoreMLError.__str__


class InvalidModelError(RefCoreMLError):
    """The model breaks a rule of the Core ML specification."""


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


class InternalError(RefCoreMLError):
    """refcoreml failed on a model that it had accepted: a defect of refcoreml, worth a report."""
