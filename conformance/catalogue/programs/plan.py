"""The vocabulary in which the catalogue of ML Programs is written: `op`, `program`, `refused`, and what they are given.

A case of one operation is a line or two::

    yield from op("conv", "stride", x=X(2, 3, 7, 9), weight=C(4, 3, 2, 5), strides=[3, 2], clauses="S1 S2")

`X` is an input, `C` a constant; both are drawn from the case's kind of data, in the case's type of elements. All other
parameters are constants as they are. ``kinds`` says which cases are made, one for each ``type:kind`` (``zero-mean``
alone is ``fp32:zero-mean``); see `conformance.catalogue.data.draw` for kinds of floats, `drawn` for those of others.
The operation set is the oldest that has the operation and the type, unless ``opset`` names others. Inputs and outputs
of types that a model cannot have are cast, so that the author need not think about it.

Programs of several operations are built by a function::

    def sums(p):
        return p.add("cumsum", x=p.add("relu", x=p["x"]), axis=1)

    yield from program("cumsum", "after-relu", sums, {"x": X(3, 4)})
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import refcoreml.mil.operations  # noqa: F401 (fills the table)
from conformance.catalogue.data import SPECIAL, Source, draw
from conformance.catalogue.plan import Array, Plan
from refcoreml import build
from refcoreml.build.program import Result
from refcoreml.mil.registry import OPERATIONS, OPSETS
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredDictionary, DeclaredTensor

__all__ = [
    "EXACT",
    "FUNCTION",
    "MOVEMENT",
    "SUMS",
    "C",
    "Drawn",
    "Making",
    "ProgramPlan",
    "X",
    "op",
    "program",
    "refused",
    "small_before",
]

#: Kinds of data for sums of products, for functions of one number, for what moves numbers, and for what is exact.
SUMS = "integers zero-mean wide cancellation fp16:integers fp16:zero-mean"
FUNCTION = "zero-mean wide special fp16:zero-mean fp16:special"
MOVEMENT = "nan fp16:zero-mean int32:integers bool:bits"
EXACT = "integers special fp16:special int32:integers"

#: By type of elements, what arrays of a model's inputs and outputs have.
_DTYPES = {"fp32": "float32", "fp16": "float16", "int32": "int32", "int8": "int8"}
#: Types that inputs and outputs of a model, and results of a cast, have from a later operation set on.
_FEATURES_SINCE = {"fp32": "CoreML5", "int32": "CoreML5", "fp16": "CoreML6", "int8": "CoreML9"}
_CASTS_SINCE = {"fp32": "CoreML5", "int32": "CoreML5", "fp16": "CoreML5", "bool": "CoreML5"}
_CAST_OTHERS_SINCE = "CoreML7"
#: Kinds of data with numbers that no constant should hold.
_NOT_CONSTANT = ("special", "nan", "halves", "ties", "bits")
_ORDER = list(OPSETS)


@dataclass(frozen=True)
class Drawn:
    """An array to be drawn.

    Attributes:
        shape: its shape.
        computed: whether it is an input of the program, or a constant.
        type, kind: its own type of elements and kind of data, if they are not the case's.
        change: maps drawn numbers to where the operation is defined.
        value: an array, or a function from a `Source` and the kind of data to one, instead.
    """

    shape: tuple[int, ...]
    computed: bool
    type: str = ""
    kind: str = ""
    change: Callable[[Array], Array] | None = None
    value: Array | Callable[[Source, str], Array] | None = None

    def make(self, source: Source, element: str, kind: str) -> Array:
        """Return the array, in the type of elements."""
        element, kind = self.type or element, self.kind or kind
        if not self.computed and not self.kind and kind in _NOT_CONSTANT:
            kind = "zero-mean"
        if self.value is not None:
            found = self.value(source, kind) if callable(self.value) else self.value
        else:
            found = drawn(source, element, kind, self.shape)
        if self.change is not None:
            found = self.change(np.asarray(found))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(found).astype(DATA_TYPES[element].dtype)


def X(*shape: int, value: Any = None, **options: Any) -> Drawn:  # noqa: N802 (a thing of the catalogue's language)
    """Return an input to be drawn; see `Drawn` for options."""
    return _drawn(shape, True, value, options)


def C(*shape: int, value: Any = None, **options: Any) -> Drawn:  # noqa: N802
    """Return a constant to be drawn; see `Drawn` for options."""
    return _drawn(shape, False, value, options)


def _drawn(shape: tuple[int, ...], computed: bool, value: Any, options: Mapping[str, Any]) -> Drawn:
    value = value if value is None or callable(value) else np.asarray(value)
    return Drawn(shape if value is None or callable(value) else value.shape, computed, value=value, **options)


def drawn(source: Source, element: str, kind: str, shape: tuple[int, ...]) -> Array:
    """Return an array of a type of elements.

    Special values begin with those that small arrays need most: infinities, or NaN. Integers are -4 to 4, unsigned ones
    0 to 8; of the kind ``full`` they have all bits. Booleans are either.
    """
    if element.startswith("fp"):
        first = {"special": 3 * SPECIAL.index(np.inf), "nan": 3 * len(SPECIAL)}.get(kind, 0)
        return draw(source, kind, (first + math.prod(shape),))[first:].reshape(shape)
    if element == "bool":
        return source.uniform(shape) < 0.5
    stored, count = DATA_TYPES[element], int(np.prod(shape, dtype=np.int64))
    if kind == "full":
        bits = (source.bits(count) >> np.uint64(64 - stored.bits)).astype(np.int64).reshape(shape)
        return bits if element.startswith("u") else bits - 2 ** (stored.bits - 1)
    if element.startswith("u"):
        return source.integers(shape, 0, min(8, 2**stored.bits - 1))
    return source.integers(shape, 0, 2) if kind == "ties" else source.integers(shape, -4, 4)


@dataclass(frozen=True)
class Made:
    """An output of a program, before it is known what it holds.

    Attributes:
        dtype: what the model declares.
        storage: the narrowest type of floats that it passes through, if that is another one.
        free_ones: whether it is of rank 0 in the program, so that it may have an axis of 1 or not.
        labels: of a classifier.
    """

    dtype: str
    storage: str = ""
    free_ones: bool = False
    labels: Sequence[str | int] = ()


@dataclass
class ProgramPlan(Plan):
    """A case of an ML Program before it has references.

    Attributes:
        operations: the types of operations in it, without constants.
        opset: its operation set.
        steps: the inputs of each prediction.
        made: its outputs.
        function: the function that predicts, if it is not the one that the model says.
        files: of a package the files by their path in it; then ``model`` is empty.
    """

    operations: list[str] = field(default_factory=list)
    opset: str = ""
    steps: list[dict[str, Array]] = field(default_factory=list)
    made: dict[str, Made] = field(default_factory=dict)
    function: str = ""
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def predictions(self) -> list[dict[str, Array]]:
        """The inputs of each step."""
        return self.steps

    @property
    def contents(self) -> dict[str, bytes]:
        """The model's files by their path in the case's folder."""
        if not self.files:
            return {"model.mlmodel": self.model}
        return {f"model.mlpackage/{path}": content for path, content in self.files.items()}


class Making:
    """A program while it is built, for one type of elements, kind of data and operation set.

    Attributes:
        element, kind, opset: these three.
        program: the builder.
        labels: of a classifier, to be set by whoever builds one.
    """

    def __init__(
        self, identity: str, element: str, kind: str, opset: str, inputs: Mapping[str, Any], states: Mapping[str, Any]
    ) -> None:
        self.element, self.kind, self.opset = element, kind, opset
        self.source, self.labels = Source(identity), list[Any]()
        self._given = dict(inputs)
        features = {name: self._feature(item) for name, item in self._given.items()}
        self.program = build.Program(features, states=states, opset=opset)
        self._values = {name: self._cast_to(name, item) for name, item in self._given.items()}

    def __getitem__(self, name: str) -> Result:
        """Return an input, in the type that the case is about, or a state."""
        return self._values[name] if name in self._values else self.program[name]

    def add(self, kind: str, **parameters: Any) -> Any:
        """Add an operation, with constants to be drawn or given."""
        return self.program.add(kind, **{name: self.constant(value) for name, value in parameters.items()})

    def constant(self, value: Any) -> Any:
        """Return a parameter with its constants drawn."""
        if isinstance(value, Drawn):
            element = value.type or self.element
            array = value.make(self.source, self.element, self.kind)
            return array if DATA_TYPES[element].native else build.Known(array, element)
        if isinstance(value, list) and any(isinstance(item, Drawn) for item in value):
            return [self.constant(item) for item in value]
        return value

    def inputs(self) -> dict[str, Array]:
        """Return new inputs, as the model takes them."""
        found = {}
        for name, item in self._given.items():
            array = item.make(self.source, self.element, self.kind)
            found[name] = array.astype(_DTYPES[self._feature_type(item)]).reshape(array.shape or (1,))
        return found

    def _feature_type(self, item: Drawn) -> str:
        return feature_type(item.type or self.element, self.opset)

    def _feature(self, item: Drawn) -> tuple[str, tuple[int, ...]]:
        return self._feature_type(item), item.shape

    def _cast_to(self, name: str, item: Drawn) -> Result:
        element = item.type or self.element
        if element == self._feature_type(item):
            return self.program[name]
        made: Result = self.program.add("cast", x=self.program[name], dtype=element)
        return made

    def finish(self, results: Sequence[Result]) -> dict[str, Made]:
        """Make results the outputs; return what they are."""
        made = {}
        for result in results:
            if isinstance(result.type, DeclaredDictionary) or _element(result) in ("string", "int64"):
                self.program.output(result)
                dtype = "float32" if isinstance(result.type, DeclaredDictionary) else "int32"
                made[result.name] = Made(dtype, free_ones=dtype == "int32", labels=self.labels)
                continue
            element = _element(result)
            kept = feature_type(element, self.opset)
            assert isinstance(result.type, DeclaredTensor)
            if kept != element:
                types = [replace(result.type, element=DATA_TYPES[kept])]
                result = self.program.add("cast", x=result, dtype=kept, name="output", outputs=types)
            self.program.output(result)
            storage = "float16" if element == "fp16" and kept != element else ""
            made[result.name] = Made(_DTYPES[kept], storage, result.type.known_shape == ())
        return made


def _element(result: Result) -> str:
    return str(result.type.element) if isinstance(result.type, DeclaredTensor) else ""


def feature_type(element: str, opset: str) -> str:
    """Return the type in which a model has inputs and outputs of a type of elements."""
    since = _FEATURES_SINCE.get(element)
    if since is not None and _ORDER.index(since) <= _ORDER.index(opset):
        return element
    return "fp32" if element.startswith("fp") else "int32"


def oldest(kind: str, elements: Sequence[str]) -> str:
    """Return the oldest operation set that has an operation, and casts to types of elements."""
    first = OPERATIONS.versions(kind)[-1][0]
    casts = [_CASTS_SINCE.get(element, _CAST_OTHERS_SINCE) for element in elements if element]
    return _ORDER[max([first, *map(_ORDER.index, casts)])]


Builder: TypeAlias = Callable[[Making], Any]


def program(
    kind: str,
    label: str,
    make: Builder,
    inputs: Mapping[str, Drawn],
    *,
    kinds: str = "integers zero-mean",
    opset: str = "",
    states: Mapping[str, Any] | None = None,
    steps: int = 1,
    clauses: str = "",
    verdict: str = "returns",
    rule: str = "",
    features: Sequence[str] = (),
    change: Callable[[schema.Model], None] | None = None,
    packed: Callable[[dict[str, bytes]], None] | bool = False,
    expected: Callable[[], dict[str, Any]] | None = None,
    twin: Builder | None = None,
    **more: Any,
) -> Iterator[ProgramPlan]:
    """Yield a case for each kind of data and operation set.

    Args:
        kind: the operation that it is about.
        label: names the configuration.
        make: from a `Making` to a result, or several.
        inputs: by name.
        kinds: ``type:kind`` of data, separated by spaces.
        opset: operation sets, separated by spaces; cases of all but the first have its name in theirs.
        states: by name, as for `build.Program`.
        steps: how many predictions there are, each with inputs of its own.
        clauses: what it checks, such as ``S1 S3``.
        verdict, rule, features: what the case demands.
        change: changes the finished message.
        packed: whether the model is a package, with large constants in a file of weights; a function changes its files.
        expected: references and bounds that the oracle cannot know.
        twin: makes a program of other operations that computes the same as one with custom layers, for the oracle.
        more: further fields of the plan.
    """
    family = OPERATIONS[kind].adapt.__module__.rpartition(".")[2] if kind in OPERATIONS else "program"
    for token in kinds.split():
        element, _, data = token.rpartition(":")
        element = element or "fp32"
        types = [element, *(item.type for item in inputs.values())]
        sets = opset.split() or [oldest(kind, types) if kind in OPERATIONS else "CoreML7"]
        for number, chosen in enumerate(sets):
            suffix = f"-{chosen}" if number else ""
            identity = f"mil/{kind}/{label}{suffix}/{'' if element == 'fp32' else element + '-'}{data}"
            making, made = _made(identity, element, data, chosen, inputs, states or {}, make)
            spec = making.program.spec()
            if change is not None:
                change(spec)
            files = files_of(making.program.save) if packed else {}
            if callable(packed):
                packed(files)
            yield ProgramPlan(
                id=identity,
                family=f"mil {family}",
                layers=[],
                data=data,
                model=b"" if files else spec.SerializeToString(deterministic=True),
                files=files,
                specification=spec.specificationVersion,
                features=list(features),
                verdict=verdict,
                rule=rule,
                expected=expected() if expected else {},
                clauses=[f"mil.{kind}.{clause}" for clause in clauses.split()],
                operations=sorted(set(_kinds(spec))),
                opset=chosen,
                steps=[making.inputs() for _ in range(steps)],
                made=made,
                twin=_serialized(_made(identity, element, data, chosen, inputs, {}, twin)[0]) if twin else b"",
                **more,
            )


def _made(
    identity: str,
    element: str,
    kind: str,
    opset: str,
    inputs: Mapping[str, Any],
    states: Mapping[str, Any],
    make: Builder,
) -> tuple[Making, dict[str, Made]]:
    """Return a finished program, and its outputs."""
    making = Making(identity, element, kind, opset, inputs, states)
    results = make(making)
    return making, making.finish(results if isinstance(results, (list, tuple)) else [results])


def _serialized(making: Making) -> bytes:
    found: bytes = making.program.spec().SerializeToString(deterministic=True)
    return found


def files_of(save: Callable[[Path], None]) -> dict[str, bytes]:
    """Return the files of a package that a function writes, the same ones in every run."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpackage"
        save(package)
        names = sorted(path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file())
        files = {name: (package / name).read_bytes() for name in names}
    manifest, known = files["Manifest.json"].decode(), dict[str, str]()

    def numbered(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"00000000-0000-0000-0000-{len(known):012}")

    files["Manifest.json"] = re.sub(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", numbered, manifest).encode()
    return files


def _kinds(spec: schema.Model) -> Iterator[str]:
    """Yield the types of all operations but constants."""

    def of(block: schema.MILSpec.Block) -> Iterator[str]:
        for operation in block.operations:
            if operation.type != "const":
                yield operation.type
            for inner in operation.blocks:
                yield from of(inner)

    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            yield from of(block)


#: What `program` takes besides the parameters of an operation.
_OPTIONS = ("opset", "steps", "clauses", "features", "change", "packed", "expected", "verdict", "rule")


def op(
    kind: str, label: str, /, *, kinds: str = SUMS, results: Sequence[Any] | None = None, **given: Any
) -> Iterator[ProgramPlan]:
    """Yield cases of one operation.

    Args:
        kind: its name.
        label: names the configuration.
        kinds, results: ``type:kind`` of data; the types of results, where they do not follow.
        given: its parameters: `X`, `C`, lists of these, constants; and options of `program`.
    """
    options = {name: given.pop(name) for name in _OPTIONS if name in given}
    inputs: dict[str, Drawn] = {}
    for name, value in given.items():
        if isinstance(value, Drawn) and value.computed:
            inputs[name] = value
        elif isinstance(value, list):
            inputs |= {f"{name}{n}": v for n, v in enumerate(value) if isinstance(v, Drawn) and v.computed}
    return program(kind, label, partial(_one, kind, given, results), inputs, kinds=kinds, **options)


def _one(kind: str, given: Mapping[str, Any], results: Sequence[Any] | None, p: Making) -> Any:
    """Add an operation with its parameters."""

    def bound(name: str, value: Any) -> Any:
        if isinstance(value, Drawn) and value.computed:
            return p[name]
        if isinstance(value, list) and any(isinstance(item, Drawn) for item in value):
            return [bound(f"{name}{n}", item) for n, item in enumerate(value)]
        return p.constant(value)

    p.labels = given.get("classes", [])
    parameters = {name: bound(name, value) for name, value in given.items()}
    return p.program.add(kind, name="result", outputs=results, **parameters)


def refused(
    kind: str, label: str, rule: str, /, *, kinds: str = "integers", clause: str = "", results: Any = None, **given: Any
) -> Iterator[ProgramPlan]:
    """Yield a program that breaks a rule, which every implementation must refuse, at the latest with the inputs.

    Args:
        kind, label: as of `op`.
        rule: what it breaks, in words.
        kinds: as of `op`.
        clause: the clause that says so, such as ``C1``.
        results: the types of results as the program declares them; by default one of the rank of what is drawn first,
            with unknown lengths.
        given: as of `op`.
    """
    listed = (item for value in given.values() for item in (value if isinstance(value, list) else [value]))
    first = next(item for item in listed if isinstance(item, Drawn))
    if results is None:
        results = [(kinds.split()[0].rpartition(":")[0] or "fp32", (None,) * len(first.shape))]
    more: dict[str, Any] = {"verdict": "invalid", "rule": rule, "clauses": clause}
    yield from op(kind, f"invalid-{label}", kinds=kinds, results=results, **given, **more)


def small_before(kind: str, /, **given: Any) -> Iterator[ProgramPlan]:
    """Yield a program of CoreML6 with an operation on a constant of int8, which it takes since CoreML7 only."""

    def make(p: Making) -> Any:
        p.add(kind, outputs=[("int8", (None, None))], x=C(3, 4, type="int8"), **given)
        return p.add("relu", x=p["x"])

    more: dict[str, Any] = {"opset": "CoreML6", "clauses": "C1", "verdict": "invalid"}
    rule = "x is fp16, fp32, int32 or bool until CoreML6"
    return program(kind, "invalid-int8", make, {"x": X(3, 4)}, kinds="integers", rule=rule, **more)
