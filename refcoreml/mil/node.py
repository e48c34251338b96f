"""An operation of a program as its adapter sees it: `Node`, with parameters that are `Value`s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np

from refcoreml.errors import Placed
from refcoreml.execution.limits import Allowed
from refcoreml.execution.steps import Region
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.ops.base import Op
from refcoreml.spec.mil_types import DeclaredTensor, DeclaredType
from refcoreml.types import Array

T = TypeVar("T")

#: From the name of a parameter and a constant, in its declared type, to what an operation computes with instead.
Replace: TypeAlias = Callable[[str, Array], Array]

#: Stands for "there is no default: the parameter is required".
REQUIRED: Any = object()


@dataclass(frozen=True, eq=False)
class Value:
    """What a parameter is bound to: something that a run makes, or a constant.

    Attributes:
        type: the declared type.
        name: the value's name while the program runs.
        read: returns the constant; None for what a run makes.
    """

    type: DeclaredType
    name: str
    read: Callable[[], Any] | None = None

    @property
    def constant(self) -> bool:
        """Whether it is known before a run."""
        return self.read is not None

    @property
    def known(self) -> Any:
        """The constant, decoded anew each time: an array of the declared type, a list, a text.

        Nothing is kept, since an operation keeps its weights in the form in which it computes with them. What a file
        holds as it is, is a view of the file.
        """
        assert self.read is not None
        return self.read()

    @property
    def tensor(self) -> DeclaredTensor | None:
        """The declared type, of a tensor."""
        return self.type if isinstance(self.type, DeclaredTensor) else None


@dataclass(frozen=True, eq=False)
class Folded:
    """How one of the results of an operation on constants is read: by running it.

    Attributes:
        compute: returns all results; one and the same object for all of them.
        index: which of them it is.
        depth: how many such operations depend on one another, this one included.
    """

    compute: Callable[[], Sequence[Any]]
    index: int
    depth: int

    def __call__(self) -> Any:
        """Return the result."""
        return self.compute()[self.index]


def folded(
    values: Sequence[Value], compute: Callable[[], Sequence[Any]], parameters: Mapping[str, Sequence[Value]]
) -> list[Value]:
    """Return the results of an operation as constants, given its parameters."""
    reads = [value.read for listed in parameters.values() for value in listed]
    depth = 1 + max((read.depth for read in reads if isinstance(read, Folded)), default=0)
    return [Value(value.type, value.name, Folded(compute, index, depth)) for index, value in enumerate(values)]


def known(values: Sequence[Value]) -> list[Any]:
    """Return constants; what one operation makes of constants, by running it once."""
    made: dict[Callable[[], Sequence[Any]], Sequence[Any]] = {}
    found = []
    for value in values:
        if isinstance(value.read, Folded):
            compute = value.read.compute
            if compute not in made:
                made[compute] = compute()
            found.append(made[compute][value.read.index])
        else:
            found.append(value.known)
    return found


class Parameters(Mapping[str, Sequence[Value]]):
    """The values of an operation by parameter; remembers which parameters its adapter knows.

    Attributes:
        known: those that were requested, given or not.
    """

    def __init__(self, given: Mapping[str, Sequence[Value]]) -> None:
        self._given = given
        self.known: set[str] = set()

    def __getitem__(self, name: str) -> Sequence[Value]:
        self.known.add(name)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    @property
    def unknown(self) -> list[str]:
        """Those that are given, but that nobody requested."""
        return sorted(self._given.keys() - self.known)


@dataclass(frozen=True)
class Inner:
    """A block of an operation.

    Attributes:
        region: the block, ready to run.
        inputs: the values that it is given.
        results: the values that it returns.
    """

    region: Region
    inputs: Sequence[Value]
    results: Sequence[Value]


@dataclass(frozen=True)
class Call:
    """An operation and the values that it takes."""

    op: Op
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Entry:
    """What a name means from an operation set on.

    Attributes:
        name: the operation's name.
        since: the first operation set.
        operands: the parameters that the operation takes at run time, in order, unless the adapter says otherwise;
            ``?`` at the end marks an optional one, ``*`` at the front one that may have several values.
        adapt: the adapter.
        blocks: how many blocks it has.
    """

    name: str
    since: str
    operands: tuple[str, ...]
    adapt: Callable[[Node], Op | Call]
    blocks: int = 0


@dataclass(frozen=True)
class Node(Placed):
    """An operation of a program.

    The methods that read a parameter raise `InvalidModelError` at this place where it is missing and has no default,
    where it is no constant, and where its type or form is another one.

    Attributes:
        kind: the name of the operation, such as ``conv``.
        where: its place in the model.
        opset: the number of the function's operation set.
        parameters: the values by parameter; several for a parameter that takes a tuple.
        outputs: the declared types of the results; none where they are to be inferred.
        entry: what the table says of it.
        precision: how floats are held.
        strict: whether what the specification leaves undefined is an error.
        blocks: its blocks, of control flow.
        allowed: what values may be made.
        custom_layers: the code of custom layers, by class name.
        replaced: what takes the place of the arrays that the operation computes with; not of settings.
    """

    kind: str
    where: str
    opset: int
    parameters: Parameters
    outputs: Sequence[DeclaredType]
    entry: Entry
    precision: Precision = field(default_factory=lambda: PRECISIONS["declared"])
    strict: bool = True
    blocks: Sequence[Inner] = ()
    allowed: Allowed = field(default_factory=Allowed)
    custom_layers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    replaced: Replace | None = None

    def refuse_unknown(self) -> None:
        """Raise `InvalidModelError` if parameters are given that the adapter, which has run, did not request.

        Such are those of a newer operation set: left out, they would change results without a word.
        """
        if unknown := self.parameters.unknown:
            known = ", ".join(map(repr, sorted(self.parameters.known))) or "none"
            self.invalid(
                f"takes no parameter {', '.join(map(repr, unknown))}",
                f"In its form since {self.entry.since} it takes {known}; that of a newer operation set may take more",
            )

    # ---- Values ----

    def has(self, name: str) -> bool:
        """Return whether a parameter is given."""
        return bool(self.parameters.get(name))

    def values(self, name: str) -> Sequence[Value]:
        """Return the values of a parameter that takes several."""
        found = self.parameters.get(name, ())
        self.require(bool(found), f"parameter {name!r} is missing")
        return found

    def value(self, name: str) -> Value:
        """Return the value of a parameter."""
        found = self.values(name)
        self.require(len(found) == 1, f"parameter {name!r} has {len(found)} values, expected one")
        return found[0]

    def tensor(self, name: str) -> DeclaredTensor:
        """Return the declared type of a parameter that is a tensor."""
        found = self.value(name)
        if found.tensor is None:
            self.invalid(f"parameter {name!r} is of type {found.type}, expected a tensor")
        return found.tensor

    def rank(self, name: str = "x") -> int:
        """Return the rank of a tensor."""
        found = self.tensor(name)
        if found.shape is None:
            self.unsupported(f"parameter {name!r} is declared without a rank, on which the operation depends")
        return len(found.shape)

    def length(self, name: str, axis: int) -> int | None:
        """Return the declared length of an axis of a tensor; None if it is unknown."""
        shape = self.tensor(name).shape
        return None if shape is None or not -len(shape) <= axis < len(shape) else shape[axis]

    def element(self, name: str = "x") -> np.dtype[Any]:
        """Return the declared type of a tensor's elements."""
        return self.tensor(name).element.dtype

    def is_constant(self, name: str) -> bool:
        """Return whether a parameter is given and is a constant."""
        return self.has(name) and all(value.constant for value in self.parameters[name])

    def call(self, op: Op, *names: str) -> Call:
        """Return a call of an operation with the values of some parameters, all that are given for each name."""
        return Call(op, tuple(value for name in names for value in self.values(name)))

    # ---- Constants ----

    def constant(self, name: str, default: Any = REQUIRED) -> Any:
        """Return a constant as the program has it: an array, a text, a list; the default if it is not given."""
        if not self.has(name):
            if default is REQUIRED:
                self.invalid(f"parameter {name!r} is missing")
            return default
        found = self.value(name)
        if not found.constant:
            self.invalid(f"parameter {name!r} must be a constant, got the value {found.name!r} that a run computes")
        return found.known

    def array(self, name: str, default: Any = REQUIRED, *, rank: int | None = None) -> Any:
        """Return a constant tensor that the operation computes with, floats as the precision holds them.

        Args:
            name: the parameter.
            default: what stands for a tensor that is not given.
            rank: the rank that it must have.
        """
        found = self._array(name, default, rank)
        if self.replaced is None or not self.has(name):
            return found
        return self.replaced(name, self.constant(name))

    def filled(self, name: str, like: Array, number: float) -> Array:
        """Return what stands for a tensor that is not given: the number throughout, in the shape of another one."""
        found = np.full_like(like, number)
        return found if self.replaced is None else self.replaced(name, found)

    def _array(self, name: str, default: Any, rank: int | None = None) -> Any:
        """Return a constant tensor of weights or settings, see `array`."""
        found = self.constant(name, default)
        if found is default and not self.has(name):
            return default
        if not isinstance(found, np.ndarray) or found.dtype.kind == "O":
            self.invalid(f"parameter {name!r} is of type {self.value(name).type}, expected a tensor of numbers")
        self.require(
            rank is None or found.ndim == rank, f"parameter {name!r} has the shape {found.shape}, expected rank {rank}"
        )
        return self.precision.hold(found)

    def number(self, name: str, default: Any = REQUIRED) -> Any:
        """Return a constant number as a float."""
        found = self._single(name, default, "iufb", "a number")
        return found if found is default else float(found)

    def scalar(self, name: str) -> int | float | bool:
        """Return a constant number as Python has it."""
        found: int | float | bool = self._single(name, REQUIRED, "iufb", "a number").item()
        return found

    def integer(self, name: str, default: Any = REQUIRED) -> Any:
        """Return a constant integer."""
        found = self._single(name, default, "iu", "an integer")
        return found if found is default else int(found)

    def flag(self, name: str, default: Any = REQUIRED) -> Any:
        """Return a constant boolean."""
        found = self._single(name, default, "b", "a boolean")
        return found if found is default else bool(found)

    def _single(self, name: str, default: Any, kinds: str, what: str) -> Any:
        found = self._array(name, default)
        if found is default and not self.has(name):
            return default
        if found.size != 1 or found.dtype.kind not in kinds:
            self.invalid(f"parameter {name!r} is of type {self.value(name).type}, expected {what}")
        return found.reshape(-1)[0]

    def integers(self, name: str, default: Any = REQUIRED, *, count: int | None = None) -> Any:
        """Return constant integers as a tuple.

        Args:
            name: the parameter.
            default: what stands for it if it is not given.
            count: how many there must be.
        """
        found = self._array(name, default)
        if found is default and not self.has(name):
            return default
        if found.ndim > 1 or found.dtype.kind not in "iu":
            self.invalid(f"parameter {name!r} is of type {self.value(name).type}, expected integers")
        listed = tuple(map(int, found.reshape(-1)))
        return self._counted(name, listed, count)

    def flags(self, name: str, default: Any = REQUIRED, *, count: int | None = None) -> Any:
        """Return constant booleans as a tuple; arguments as of `integers`."""
        found = self._array(name, default)
        if found is default and not self.has(name):
            return default
        if found.ndim > 1 or found.dtype.kind != "b":
            self.invalid(f"parameter {name!r} is of type {self.value(name).type}, expected booleans")
        listed = tuple(map(bool, found.reshape(-1)))
        return self._counted(name, listed, count)

    def _counted(self, name: str, listed: tuple[Any, ...], count: int | None) -> tuple[Any, ...]:
        expected = count is None or len(listed) == count
        self.require(expected, f"parameter {name!r} has {len(listed)} elements, expected {count}")
        return listed

    def items(self, name: str) -> list[Any]:
        """Return the constant numbers and texts of a parameter; of its values, tensors and lists alike, in order."""
        for value in self.parameters.get(name, ()):
            if not value.constant:
                self.invalid(f"parameter {name!r} must be constant, got the value {value.name!r} that a run computes")
        return [item for value in self.parameters.get(name, ()) for item in _items(value.known)]

    def text(self, name: str, default: Any = REQUIRED) -> str:
        """Return a constant text."""
        found = self.constant(name, default)
        if isinstance(found, np.ndarray) and found.size == 1:
            found = found.reshape(-1)[0]
        if not isinstance(found, str):
            self.invalid(f"parameter {name!r} is of type {self.value(name).type}, expected a text")
        return found

    def choice(self, name: str, choices: Mapping[str, T], default: Any = REQUIRED) -> T:
        """Return what a constant text stands for, whatever its case.

        Args:
            name: the parameter.
            choices: by text in lower case what it stands for.
            default: the text that stands for one that is not given.
        """
        text = self.text(name, default)
        if text.lower() not in choices:
            self.invalid(f"parameter {name!r} is {text!r}, expected one of {', '.join(map(repr, choices))}")
        return choices[text.lower()]

    def axis(self, name: str, rank: int, default: Any = REQUIRED) -> int:
        """Return a constant axis of a tensor of a rank, counted from 0."""
        found = int(self.integer(name, default))
        self.require(-rank <= found < rank, f"parameter {name!r} is {found}, expected an axis of rank {rank}")
        return found % rank


def _items(known: Any) -> Iterator[Any]:
    if isinstance(known, (list, tuple)):
        for each in known:
            yield from _items(each)
    else:
        yield from np.ravel(known).tolist() if isinstance(known, (np.ndarray, np.generic)) else [known]
