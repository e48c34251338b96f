"""Many random networks converted in one run, and what became of them."""

from __future__ import annotations

import gc
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from campaigns.converter import Outcome, check
from campaigns.torch_grammar import TorchNetwork, torch_networks
from refcoreml.testing.extras import hypothesis, torch

__all__ = ["COMPARED", "KINDS", "UNEXPLAINED", "Summary", "run"]

#: In the order of the columns; the last two are what a run must not find.
KINDS = ("agrees", "known", "undetermined", "refused", "failed", "differs")
UNEXPLAINED = ("failed", "differs")
#: What shows that anything was compared.
COMPARED = ("agrees", "known")

#: Networks that one run of Hypothesis draws. Later ones are more and more variations of earlier ones.
_CHUNK = 10
#: Runs without a new network after which no more are expected.
_GIVE_UP = 50


@dataclass
class Summary:
    """Counts of outcomes.

    Attributes:
        kinds: by kind of outcome.
        shapes, operators: by network shape and by operator of the grammar, each by kind of outcome.
        known: by defect of the converter.
        unexplained: outcomes that need a reader, shrunk where that was requested.
        tightness: bounds in double and in single precision, relative to the largest output, of those that agree.
        used: the largest part of these bounds that was used.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, Counter[str]] = field(default_factory=dict)
    operators: dict[str, Counter[str]] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    tightness: list[tuple[float, float]] = field(default_factory=list)
    used: list[tuple[float, float]] = field(default_factory=list)

    def add(self, network: TorchNetwork, outcome: Outcome) -> None:
        """Count a network."""
        self.kinds[outcome.kind] += 1
        self.shapes.setdefault(network.shape, Counter())[outcome.kind] += 1
        for name in set(network.operators):
            self.operators.setdefault(name, Counter())[outcome.kind] += 1
        if outcome.kind in ("known", "refused"):
            self.known[outcome.message] += 1
        if outcome.kind in UNEXPLAINED:
            self.unexplained.append(f"{outcome.kind}: {network}\n{outcome.message}")
        if outcome.kind == "agrees":
            self.tightness.append(outcome.tightness)
            self.used.append(outcome.used)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        figures = {}
        for name, values in ("tightness", self.tightness), ("used", self.used):
            if values:
                quantiles = np.quantile(np.asarray(values), [0.5, 0.9, 0.99], axis=0)
                figures[name] = dict(zip(("float64", "float32"), quantiles.T.tolist(), strict=True))
        return {
            "networks": sum(self.kinds.values()),
            "kinds": dict(self.kinds),
            "known": dict(self.known),
            "quantiles": {"of": [0.5, 0.9, 0.99], **figures},
            "shapes": {name: dict(counts) for name, counts in sorted(self.shapes.items())},
            "operators": {name: dict(counts) for name, counts in sorted(self.operators.items())},
            "unexplained": self.unexplained,
        }


def run(
    networks: int,
    *,
    seed: int = 0,
    shapes: Sequence[str] = (),
    advance: Callable[[TorchNetwork, Outcome], None] = lambda network, outcome: None,
) -> Summary:
    """Draw networks with Hypothesis and check each that is new.

    Args:
        networks: how many, all different.
        seed: where the draws start; the same seed gives the same networks.
        shapes: network shapes to draw from; all by default.
        advance: is shown every network and its outcome.
    """
    summary = Summary()
    torch.set_num_threads(1)  # the networks are far too small for more
    gc.collect()
    gc.freeze()  # the converter collects garbage after each conversion, which takes longer the more there is to look at
    seen: set[str] = set()
    barren = 0
    for chunk in itertools.count(seed):

        @hypothesis.seed(chunk)  # type: ignore[untyped-decorator]
        @hypothesis.settings(  # type: ignore[untyped-decorator]
            max_examples=_CHUNK,
            database=None,
            deadline=None,
            derandomize=False,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(torch_networks(shapes))  # type: ignore[untyped-decorator]
        def draw(network: TorchNetwork) -> None:
            text = repr(network)
            if text in seen or len(seen) >= networks:
                return
            seen.add(text)
            outcome = check(network)
            summary.add(network, outcome)
            advance(network, outcome)

        before = len(seen)
        draw()
        barren = barren + 1 if len(seen) == before else 0
        if len(seen) >= networks or barren > _GIVE_UP:
            break
    return summary
