"""A fault, and how functions of the package are replaced while it is there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from refcoreml.ops.base import Adapted


@dataclass(frozen=True)
class Mutation:
    """A fault.

    Attributes:
        name: says where it is and what is wrong.
        kinds: the layers, or the operations of ML Programs, that it touches.
        inject: a context in which the interpreter has it.
        unseen: why no case can catch it, if that is so.
        program: whether it is one of ML Programs.
    """

    name: str
    kinds: tuple[str, ...]
    inject: Callable[[], Any]
    unseen: str = ""
    program: bool = False


class NeverFused(Adapted):
    """An operation around another one, of which is not known whether its results are its own, and what it moves."""

    @property
    def fresh(self) -> bool:  # type: ignore[override]
        """Not known."""
        return False

    @property
    def moves(self) -> bool:  # type: ignore[override]
        """Not known."""
        return False


@contextmanager
def replaced(function: Callable[..., Any], faulty: Callable[..., Any]) -> Iterator[None]:
    """A function is another one, wherever the package refers to it."""
    places = [
        (module, key)
        for name, module in list(sys.modules.items())
        if name.startswith("refcoreml.")
        for key, value in list(vars(module).items())
        if value is function
    ]
    assert places, f"nothing refers to {function}"
    for module, key in places:
        setattr(module, key, faulty)
    try:
        yield
    finally:
        for module, key in places:
            setattr(module, key, function)


@contextmanager
def changed(owner: Any, name: str, fault: Callable[[Any], Any]) -> Iterator[None]:
    """An attribute of a class or module is ``fault(attribute)``."""
    honest = vars(owner)[name]
    setattr(owner, name, fault(honest))
    try:
        yield
    finally:
        setattr(owner, name, honest)
