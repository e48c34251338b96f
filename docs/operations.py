"""What parameters and results of ML Program operations are, for their pages: found by trying the adapters.

Nothing is listed twice: an example of an operation is a program that calls it. Its call is tried again with each
parameter in each type of elements, computed instead of constant, and left out; the adapter accepts that or refuses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

import refcoreml.mil.operations  # noqa: F401 (fills the table)
from refcoreml import build
from refcoreml.errors import RefCoreMLError
from refcoreml.mil.node import REQUIRED, Inner, Node, Value
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.prepare import Preparer, call_of, fold, inferred
from refcoreml.mil.registry import OPERATIONS, Entry, opset_number
from refcoreml.mil.resolve import Block, Operation, is_folded, resolve, walk
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DATA_TYPES, DataType, DeclaredState, DeclaredTensor

T = TypeVar("T")

#: The types of elements that are tried; of operations that make constants of constants also those that files have only.
ELEMENTS = ("fp16", "fp32", "int32", "bool", "int8", "uint8", "int16", "uint16")
STORED = (*ELEMENTS, "uint32", "int4", "uint1", "uint2", "uint3", "uint4", "uint6")


@dataclass(frozen=True)
class Parameter:
    """A parameter, or a result, of a version of an operation.

    Attributes:
        form: what it may be: types of elements, or what kind of constant.
        absent: what stands for it where it is not given; None if it is required.
    """

    form: str
    absent: str | None = None


@dataclass(frozen=True, eq=False)
class Watched(Node):
    """An operation that notes how its adapter reads parameters.

    Attributes:
        order: the parameters in the order in which it first reads them.
        forms: by parameter what it reads, where that is not a tensor.
        defaults: by parameter what it passes as the default.
    """

    order: dict[str, None] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    def _noted(self, name: str, form: str, found: T) -> T:
        self.order[name] = None
        self.forms[name] = form
        return found

    def has(self, name: str) -> bool:
        self.order[name] = None
        return super().has(name)

    def values(self, name: str) -> Sequence[Value]:
        self.order[name] = None
        return super().values(name)

    def constant(self, name: str, default: Any = REQUIRED) -> Any:
        if default is not REQUIRED:
            self.defaults[name] = default
        return super().constant(name, default)

    def integer(self, name: str, default: Any = REQUIRED) -> Any:
        return self._noted(name, "integer", super().integer(name, default))

    def integers(self, name: str, default: Any = REQUIRED, *, count: int | None = None) -> Any:
        return self._noted(name, "integers", super().integers(name, default, count=count))

    def flag(self, name: str, default: Any = REQUIRED) -> Any:
        return self._noted(name, "bool", super().flag(name, default))

    def flags(self, name: str, default: Any = REQUIRED, *, count: int | None = None) -> Any:
        return self._noted(name, "bools", super().flags(name, default, count=count))

    def items(self, name: str) -> list[Any]:
        return self._noted(name, "numbers or texts", super().items(name))

    def text(self, name: str, default: Any = REQUIRED) -> str:
        return self._noted(name, "text", super().text(name, default))

    def choice(self, name: str, choices: Mapping[str, T], default: Any = REQUIRED) -> T:
        found = super().choice(name, choices, default)
        return self._noted(name, "one of " + ", ".join(f"`{each}`" for each in choices), found)


@dataclass(frozen=True)
class Tried:
    """A call that the adapter accepts: what it noted, and the types of the results, where they are known."""

    node: Watched
    results: Sequence[Any] | None


@dataclass
class Found:
    """What is known of a parameter: the elements it may have, whether with another one, computed, or left out."""

    form: str = ""
    elements: dict[str, None] = field(default_factory=dict)
    follows: str = ""
    computed: bool = False
    required: bool = True
    default: Any = REQUIRED

    def parameter(self, absent: str | None) -> Parameter:
        """Return it in words; what stands for it where it is absent may be said elsewhere."""
        elements = f"as `{self.follows}`" if self.follows else listed(self.elements)
        form = elements if self.computed and elements else self.form or elements
        if form and not self.computed and not form.startswith("one of"):
            form = f"constant, {form}" if form.startswith("as ") else f"constant {form}"
        return Parameter(form, absent or (None if self.required else written(self.default)))


def listed(names: Iterable[str]) -> str:
    """Return types in the order of the table of all types."""
    given = set(names)
    return ", ".join(name for name in (*STORED, *given.difference(STORED)) if name in given)


def written(default: Any) -> str:
    """Return a default in words."""
    if default is REQUIRED or default is None:
        return "none"
    if isinstance(default, str):
        return f"`{default.lower()}`"
    if isinstance(default, (tuple, list, np.ndarray)):
        values = np.ravel(np.asarray(default)).tolist()
        return f"all {written(values[0])}" if values and len(set(values)) == 1 else ", ".join(map(written, values))
    return str(default).lower()


# ---- The calls of an example ----


def calls(name: str, namespace: Mapping[str, Any]) -> list[Operation]:
    """Return the calls of an operation by the programs among the variables of an example."""
    programs = [each for each in namespace.values() if isinstance(each, build.Program)]
    return [each for program in programs for each in _operations(program) if each.kind == name]


def _operations(program: build.Program) -> Iterator[Operation]:
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(program.function())
    function = resolve(message, "main", None, lambda operation, opset: fold(operation, _preparer(opset)))
    yield from walk(function.body)
    yield from function.body.folded


def _preparer(opset: int) -> Preparer:
    return Preparer(opset, PRECISIONS["declared"])


def attempt(entry: Entry, parameters: Mapping[str, Sequence[Value]], blocks: Sequence[Block] = ()) -> Tried | None:
    """Return what the adapter makes of a call in the first operation set of a version; None if it refuses it.

    Parameters that only a newer version has are left out.
    """
    preparer = _preparer(opset_number(entry.since, entry.name))
    given = {key: tuple(values) for key, values in parameters.items()}
    try:
        inner = [Inner(preparer.region(block), block.inputs, block.results) for block in blocks]
        types = [value.type for value in blocks[-1].results] if blocks else ()
        node = preparer.node(Operation(entry.name, entry.name, entry.name, entry, given, ()), types, inner)
        watched = Watched(**{item.name: getattr(node, item.name) for item in fields(node)})
        with np.errstate(all="ignore"):
            entry.adapt(watched)
        newer = set(watched.parameters.unknown) - set(operands(entry))
        if newer:
            return attempt(entry, {key: given[key] for key in given if key not in newer}, blocks)
        call = call_of(watched)
        return Tried(watched, types if blocks else inferred(call))
    except RefCoreMLError:
        return None


def operands(entry: Entry) -> dict[str, None]:
    """Return the parameters that a version takes at run time, in order."""
    return dict.fromkeys(name.strip("*?") for name in entry.operands)


def element_of(value: Value) -> str | None:
    """Return the type of elements of a tensor of numbers, or of a state; None for other values."""
    declared = value.type.wrapped if isinstance(value.type, DeclaredState) else value.type
    name = declared.element.name if isinstance(declared, DeclaredTensor) else "string"
    return None if name == "string" else name


def converted(value: Value, element: DataType) -> Value:
    """Return a value in another type of elements."""

    def read() -> Any:
        array = np.asarray(value.known)
        if element.bits < 8 and element.dtype.kind in "iu":
            least = -(1 << element.bits - 1) if element.dtype.kind == "i" else 0
            array = np.clip(array, least, least + (1 << element.bits) - 1)
        with np.errstate(all="ignore"):
            return array.astype(element.dtype)

    constant = None if value.read is None else read
    if isinstance(value.type, DeclaredState):
        assert isinstance(value.type.wrapped, DeclaredTensor)
        return Value(DeclaredState(replace(value.type.wrapped, element=element)), value.name, constant)
    assert isinstance(value.type, DeclaredTensor)
    return Value(replace(value.type, element=element), value.name, constant)


# ---- What a version of an operation takes ----


def signature(entry: Entry, uses: Sequence[Operation], more: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters of a version, then its result as ``result``; nothing if it accepts none of the calls.

    Args:
        entry: the version.
        uses: calls of the operation.
        more: what clauses say of ``types``, ``defaults`` and ``results``, which trying does not show.
    """
    found: dict[str, Found] = {}
    results: list[tuple[dict[str, str], list[str]]] = []
    accepted = False
    for use in uses:
        base = attempt(entry, use.parameters, use.blocks)
        if base is not None:
            accepted = True
            _read(entry, base, use, found, results)
    if not accepted:
        return {}
    order = {name: None for name in (*operands(entry), *(name for name in found if found[name].required), *found)}
    made = {name: found[name].parameter(more.get("defaults", {}).get(name)) for name in order if name in found}
    for name, form in more.get("types", {}).items():
        if name in made:
            made[name] = replace(made[name], form=form if isinstance(form, str) else form[entry.since])
    result = more.get("results") or _results(results)
    return {**made, "result": Parameter(result)} if result else made


def _read(
    entry: Entry,
    base: Tried,
    use: Operation,
    found: dict[str, Found],
    results: list[tuple[dict[str, str], list[str]]],
) -> None:
    """Add what a call shows of parameters and results."""
    order = [*operands(entry), *base.node.order]
    given = {name: base.node.parameters[name] for name in dict.fromkeys(order) if base.node.parameters.get(name)}
    elements = {
        name: element
        for name, values in given.items()
        if base.node.forms.get(name) in (None, "number", "integers") and (element := _only(map(element_of, values)))
    }
    trials = _Trials(entry, given, use.blocks, elements, results)
    for name in dict.fromkeys((*given, *base.node.order)):
        known = found.setdefault(name, Found())
        known.form = base.node.forms.get(name, known.form)
        if name in base.node.defaults:
            known.default = base.node.defaults[name]
        if name not in given:
            known.required = False
            continue
        others = {key: values for key, values in given.items() if key != name}
        without = attempt(entry, others, use.blocks)
        if without is not None:
            known.required = False
            if name in without.node.defaults:
                known.default = without.node.defaults[name]
        if not is_folded(entry.name):
            computed = {**given, name: tuple(replace(value, read=None) for value in given[name])}
            known.computed |= attempt(entry, computed, use.blocks) is not None
        if name in elements:
            accepted, follows = trials.of(name)
            known.elements.update(dict.fromkeys(accepted))
            known.follows = follows
        elif not known.form:
            known.form = _form(given[name])


def _only(elements: Iterable[str | None]) -> str | None:
    """Return the one type that all elements have; None if they have several, or none."""
    found = set(elements)
    return found.pop() if len(found) == 1 else None


def _form(values: Sequence[Value]) -> str:
    """Return what values are that are no tensors of one type of numbers."""
    kinds = {type(value.type).__name__.removeprefix("Declared").lower() for value in values}
    return "any" if len(values) > 1 or kinds == {"tensor"} else kinds.pop()


@dataclass
class _Trials:
    """Calls with some of the parameters in other types of elements.

    Attributes:
        entry: the version of the operation.
        given: the parameters of a call that is accepted.
        blocks: its blocks.
        elements: by parameter, of those that are tensors of numbers, the type in this call.
        results: where the types of accepted calls and of their results are added.
    """

    entry: Entry
    given: Mapping[str, Sequence[Value]]
    blocks: Sequence[Block]
    elements: Mapping[str, str]
    results: list[tuple[dict[str, str], list[str]]]
    made: dict[tuple[frozenset[str], str], bool] = field(default_factory=dict)

    def of(self, name: str) -> tuple[list[str], str]:
        """Return the types that a parameter may have, and the name of another one that must have the same."""
        alike = [each for each in self.elements if self.elements[each] == self.elements[name]]
        accepted, follows = [], ""
        for element in STORED if is_folded(self.entry.name) else ELEMENTS:
            together = self._accepts(alike, element)
            if together or self._accepts([name], element):
                accepted.append(element)
            if together and name != alike[0] and not self._accepts([each for each in alike if each != name], element):
                follows = alike[0]
        return accepted, follows

    def _accepts(self, names: Sequence[str], element: str) -> bool:
        key = frozenset(names), element
        if key not in self.made:
            given = {
                name: tuple(converted(value, DATA_TYPES[element]) for value in values) if name in names else values
                for name, values in self.given.items()
            }
            tried = attempt(self.entry, given, self.blocks)
            self.made[key] = tried is not None
            if tried is not None and tried.results is not None:
                types = {**self.elements, **dict.fromkeys(names, element)}
                made = [getattr(getattr(each, "element", None), "name", "") for each in tried.results]
                self.results.append((types, made))
        return self.made[key]


def _results(seen: Sequence[tuple[Mapping[str, str], Sequence[str]]]) -> str:
    """Return what the results are: of one type, or of that of a parameter."""
    if not seen or len({len(made) for _, made in seen}) > 1:
        return ""
    return "; ".join(dict.fromkeys(_result(seen, index) for index in range(len(seen[0][1]))))


def _result(seen: Sequence[tuple[Mapping[str, str], Sequence[str]]], index: int) -> str:
    elements = {made[index] for _, made in seen}
    if len(elements) == 1:
        return elements.pop()
    for name in seen[0][0]:
        if all(types.get(name) == made[index] for types, made in seen):
            return f"as `{name}`"
    return listed(elements)


def versions(name: str) -> list[Entry]:
    """Return the versions of an operation, oldest first."""
    return [entry for _, entry in reversed(OPERATIONS.versions(name))]
