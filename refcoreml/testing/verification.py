"""The constants of a model beside what a converter may have made of the source's parameters.

A constant that is one of them but for a few roundings stands for it: in double precision the model is run with the
numbers that it stands for. One of which most numbers are so, and some are not, is a finding: a faulty copy.

Recurrent layers have their parameters cut into gates, turned and put together again. So a constant may also consist of
single numbers of the source in any arrangement: which arrangement is right, the values show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Doubles
from refcoreml.testing.defects import known
from refcoreml.testing.folding import Derived
from refcoreml.testing.rounding import UNIT32, Constants, content_of
from refcoreml.testing.stored import LEAST16, UNIT16, Stored
from refcoreml.types import without_ones

__all__ = ["Finding", "Verified", "verify"]

#: So many roundings to single precision a folded number has seen, in terms of what it is the sum of.
_ROUNDINGS = 8
#: A constant is taken for a faulty copy if such a part of its numbers, and so many of them, are right.
_ESTABLISHED, _LEAST = 3 / 4, 3
#: So many numbers are compared first, and more than that only if such a part of them is right.
_SAMPLE, _LIKELY = 64, 1 / 2
#: How many numbers of single and half precision there are from one power of 2 to the next; and how many of these may be
#: among the source's if it is to be no chance that a number is.
_SINGLES, _HALVES, _CHANCE = 2**23, 2**10, 1 / 64


@dataclass(frozen=True)
class Finding:
    """A constant that is a faulty copy.

    Attributes:
        operation: whose constant it is.
        text: what is wrong, in a sentence.
    """

    operation: str
    text: str


@dataclass(frozen=True)
class Verified:
    """What was found of the constants of a model.

    Attributes:
        constants: how far they may be from the source: those that are explained, not at all.
        count: how many numbers are explained.
        findings: constants that are faulty copies.
        unexplained: the operations with a constant that does not follow from the source, as far as is known, by name;
            and which.
        defects: the operations with a constant that a known defect makes, by name; and which. It may be right all the
            same: what counts is whether the operation diverges.
    """

    constants: Constants
    count: int = 0
    findings: tuple[Finding, ...] = ()
    unexplained: dict[str, str] = field(default_factory=dict)
    defects: dict[str, str] = field(default_factory=dict)


def verify(stored: Iterable[Stored], derived: Sequence[Derived], constants: Constants) -> Verified:
    """Compare the constants of a model with what a converter may have made of the source's parameters."""
    by_size: dict[int, list[Derived]] = {}
    for made in derived:
        by_size.setdefault(made.values.size, []).append(made)
    numbers = _Numbers(derived, constants)
    stands: dict[bytes, Doubles] = {}
    findings: list[Finding] = []
    unexplained: dict[str, str] = {}
    defects: dict[str, str] = {}
    count = 0
    for each in stored:
        for made in by_size.get(each.values.size, ()):
            if made.defect and any(form.right().all() for form in _forms(made, each, turned=False)):
                defects.setdefault(each.operation, made.defect)
        content = content_of(each.values)
        if content in stands or (not each.half and constants.is_exact(each.values)):
            continue
        made_so = by_size.get(each.values.size, [])
        forms = [form for turned in (False, True) for made in made_so for form in _forms(made, each, turned)]
        forms = [form for form in [*forms, *numbers.forms(each)] if form.right(form.sample).mean() >= _LIKELY]
        right = next((form for form in forms if form.right().all()), None)
        if right is not None and right.defect:
            text = f"{each.owner}, whose {each.field} is {right.label}, folded wrongly\n{known(right.defect)}"
            findings.append(Finding(each.operation, text))
        elif right is not None:
            stands[content] = right.values
            count += each.values.size
        else:
            if not constants.is_exact(each.values):
                unexplained.setdefault(each.operation, each.field)
            if not each.compressed:
                findings.extend(_finding(each, forms))
    return Verified(replace(constants, stands=stands), count, tuple(findings), unexplained, defects)


@dataclass(frozen=True)
class _Form:
    """A constant beside what it may be, in its shape."""

    stored: Stored
    label: str
    values: Doubles
    terms: Doubles
    defect: str = ""

    @property
    def sample(self) -> slice:
        """Some places, to look at first."""
        return slice(None, None, max(1, self.values.size // _SAMPLE))

    def allowed(self, places: slice = slice(None)) -> Doubles:
        """Return how far each number may be off, in the order in which they lie."""
        allowed: Doubles = _ROUNDINGS * UNIT32 * self.terms.reshape(-1)[places]
        return allowed + UNIT16 * np.abs(self.values.reshape(-1)[places]) + LEAST16 if self.stored.half else allowed

    def right(self, places: slice = slice(None)) -> NDArray[np.bool_]:
        """Return which numbers are the same but for rounding."""
        mine, other = (array.reshape(-1)[places] for array in (self.stored.values, self.values))
        with np.errstate(invalid="ignore"):
            same: NDArray[np.bool_] = (np.abs(mine - other) <= self.allowed(places)) | (mine == other)
        return same

    def telling(self) -> int:
        """Return how many numbers are right that are so by no chance."""
        scaled = self.values.reshape(-1) * 1024
        return int((self.right() & (scaled != np.rint(scaled))).sum())


def _forms(made: Derived, stored: Stored, turned: bool) -> Iterator[_Form]:
    """Yield numbers in the shape of a constant: as they lie, or with axes in another order."""
    shape = stored.values.shape
    wanted, short = without_ones(shape), without_ones(made.values.shape)
    orders: Iterable[tuple[int, ...]] = permutations(range(len(short))) if turned and len(wanted) > 1 else ()
    for axes in orders if turned else [tuple(range(len(short)))]:
        if not turned or (axes != tuple(range(len(short))) and tuple(short[axis] for axis in axes) == wanted):
            values, terms = (part.reshape(short).transpose(axes).reshape(shape) for part in (made.values, made.terms))
            yield _Form(stored, made.label, values, terms, made.defect)


@dataclass(frozen=True)
class _Numbers:
    """Single numbers of a source, of which a constant may consist in any arrangement."""

    derived: Sequence[Derived]
    constants: Constants

    @cached_property
    def _known(self) -> Doubles:
        """Parameters, in ascending order."""
        return self.constants.known if self.constants.known is not None else np.zeros(0)

    @cached_property
    def _sums(self) -> tuple[Doubles, Doubles]:
        """Sums of biases, in ascending order, and those of the magnitudes of their terms."""
        made = [each for each in self.derived if each.scattered]
        values, terms = (
            np.concatenate([np.zeros(0), *(part.reshape(-1) for part in parts)])
            for parts in ([each.values for each in made], [each.terms for each in made])
        )
        order = np.argsort(values)
        return values[order], terms[order]

    def forms(self, stored: Stored) -> Iterator[_Form]:
        """Yield the nearest numbers of the source, for each one: parameters exactly, sums within rounding."""
        mine = stored.values.reshape(-1)
        if not mine.size or not self._known.size or not self._by_no_chance(mine, stored.half):
            return
        values, terms = self._known[_nearest(self._known, mine)], np.zeros(mine.shape)
        sums, of_sums = self._sums
        if sums.size:
            places = _nearest(sums, mine)
            other = values != mine
            values, terms = np.where(other, sums[places], values), np.where(other, of_sums[places], terms)
        yield _Form(stored, "the source", values.reshape(stored.values.shape), terms.reshape(stored.values.shape))

    def _by_no_chance(self, mine: Doubles, half: bool) -> bool:
        """Return whether so few numbers of the source are as large as those that it would be no chance to meet one."""
        size = float(np.median(np.abs(mine)))
        ends = np.searchsorted(self._known, [-2 * size, -size / 2, size / 2, 2 * size])
        near = int(ends[1] - ends[0] + ends[3] - ends[2])  # from a power of 2 to the next but one, of either sign
        return near <= 4 * _CHANCE * (_HALVES if half else _SINGLES)


def _nearest(ascending: Doubles, values: Doubles) -> NDArray[np.intp]:
    """Return the places of the numbers that are nearest to values."""
    above = np.clip(np.searchsorted(ascending, values), 1, max(len(ascending) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(ascending) - 1)
    return np.where(np.abs(ascending[below] - values) <= np.abs(ascending[above] - values), below, above)


def _finding(stored: Stored, forms: Sequence[_Form]) -> Iterator[Finding]:
    """Yield what is off in a constant most numbers of which are right; zeros and ones are right by chance."""
    forms = [form for form in forms if not form.defect]
    best = max(forms, key=lambda form: form.telling(), default=None)
    if best is None or best.telling() < max(_LEAST, _ESTABLISHED * stored.values.size):
        return
    numbers, right = stored.values.reshape(-1), best.right()
    off = np.where(right, 0.0, np.abs(numbers - best.values.reshape(-1)))
    worst = int(off.argmax())
    where = [int(index) for index in np.unravel_index(worst, stored.values.shape)]
    text = (
        f"{stored.owner}, whose {stored.field} at {where} is {numbers[worst]:.9g}, expected "
        f"{best.values.reshape(-1)[worst]:.9g} as in {best.label}, off by {off[worst]:.3g}, allowed "
        f"{best.allowed()[worst]:.3g} ({int((~right).sum())} of {right.size} numbers)"
    )
    yield Finding(stored.operation, text)
