"""Where the choices behind a random network come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from refcoreml.testing.extras import hypothesis


class Draws(Protocol):
    """Where choices come from: Hypothesis, or a random generator."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer, both ends included; shrinks towards the lower."""

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of several; shrinks towards the first."""


@dataclass(frozen=True)
class HypothesisDraws:
    """Choices that Hypothesis makes, and shrinks."""

    draw: Callable[[Any], Any]

    def integer(self, low: int, high: int) -> int:
        """Return an integer, both ends included; shrinks towards the lower."""
        return int(self.draw(hypothesis.strategies.integers(low, high)))

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of several; shrinks towards the first."""
        return options[self.integer(0, len(options) - 1)]


@dataclass(frozen=True)
class RandomDraws:
    """Choices from a ``random.Random``."""

    random: Any

    def integer(self, low: int, high: int) -> int:
        """Return an integer, both ends included."""
        return int(self.random.randint(low, high))

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of several."""
        return self.random.choice(options)
