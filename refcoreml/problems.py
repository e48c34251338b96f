"""Problems of models as data: `Problem`, and where checks report them.

A check raises, with a place and a remedy. Around each unit that can be checked whatever becomes of the others stands a
part: ``with problems.part("layer.parameters", where): ...``. By default (`RAISED`) an error passes through it, so that
loading ends at the first; `Collected` notes the error and goes on after the part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from refcoreml.errors import LimitError, RefCoreMLError, UsageError, placed

__all__ = ["RAISED", "Collected", "LeftOutError", "Problem", "Problems"]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a model, at one place.

    Attributes:
        place: the place in the model, such as ``neuralNetwork.layers[12] 'conv3' (convolution)``.
        rule: the check that found it, such as ``layer.weights``.
        message: what was expected, and what was found.
        remedy: what can be done about it; empty when nothing is known.
        fault: the class of the error, which says whose fault it is.
    """

    place: str
    rule: str
    message: str
    remedy: str
    fault: type[RefCoreMLError]

    @classmethod
    def of(cls, error: RefCoreMLError) -> Problem:
        """Return what an error says."""
        return cls(error.where, error.rule, error.problem, error.remedy, type(error))

    def __str__(self) -> str:
        return str(RefCoreMLError(self.message, where=self.place, remedy=self.remedy))


class Part:
    """A unit of checking: completes errors raised inside by their rule and place, and reports them.

    Attributes:
        failed: whether it has ended with a problem.
    """

    __slots__ = ("_place", "_problems", "_rule", "failed")

    def __init__(self, problems: Problems, rule: str, place: str) -> None:
        self._problems, self._rule, self._place, self.failed = problems, rule, place, False

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, RefCoreMLError):
            return False
        self.failed = True
        error.rule = error.rule or self._rule
        error.where = error.where or self._place
        return self._problems.report(error, self._place)


class Problems:
    """Where checks report. This one takes no problem, so that the first is raised; see `Collected`."""

    def part(self, rule: str, place: str = "") -> Part:
        """Return the context of a unit that can be checked whatever becomes of the others.

        Args:
            rule: names the check; a part inside may have a more precise name.
            place: the place that the unit is about; if it has a problem, `sound` says so.
        """
        return Part(self, rule, place)

    def report(self, error: RefCoreMLError, place: str = "") -> bool:
        """Take a problem; return whether checking goes on after the part, else the error is raised."""
        return False

    def inside(self, place: str) -> Problems:
        """Return where the checks of a model inside this one report, whose errors do not know the place around them."""
        return self

    def skip(self, places: Iterable[str]) -> None:
        """Note places that nothing more is to be said about."""

    def sound(self, place: str) -> bool:
        """Return whether no part about a place has a problem."""
        return True

    def need_sound(self) -> None:
        """Leave the part that this is called in if anything has a problem, since what follows rests on all of it."""


#: Raises the first problem.
RAISED = Problems()


class LeftOutError(RefCoreMLError):
    """Ends a part that rests on something that has a problem. It is none itself, and never raised where checks end."""


class Collected(Problems):
    """Collects the problems of a model, each once, in the order in which they are found.

    A mistake of the caller (`UsageError`) is raised. Of limits only the first that is exceeded is noted: what comes
    after it adds to the same sum.
    """

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._unsound, self._is_sound = set[str](), True

    @property
    def found(self) -> list[Problem]:
        """The problems."""
        return list(self._found)

    def report(self, error: RefCoreMLError, place: str = "") -> bool:
        """Note a problem."""
        if isinstance(error, UsageError):
            return False
        self._is_sound = False
        self.skip([place] if place else ())
        if not isinstance(error, LeftOutError):
            self._note(error)
        return True

    def _note(self, error: RefCoreMLError) -> None:
        problem = Problem.of(error)
        if problem.fault is not LimitError or not any(other.fault is LimitError for other in self._found):
            self._found[problem] = None

    def inside(self, place: str) -> Problems:
        """Return where the checks of a model inside this one report; here, in the end."""
        return _Inside(self, place)

    def skip(self, places: Iterable[str]) -> None:
        """Note places that nothing more is to be said about."""
        self._unsound.update(places)

    def sound(self, place: str) -> bool:
        """Return whether no part about a place has a problem."""
        return place not in self._unsound

    def need_sound(self) -> None:
        """Leave the part if there is a problem."""
        if not self._is_sound:
            raise LeftOutError("rests on what has a problem")


class _Inside(Collected):
    """The problems of a model inside another one; places are those inside."""

    def __init__(self, around: Problems, place: str) -> None:
        super().__init__()
        self._around, self._place = around, place

    def _note(self, error: RefCoreMLError) -> None:
        error.where = placed(self._place, error.where)
        self._around.report(error)
