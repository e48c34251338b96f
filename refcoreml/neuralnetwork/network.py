"""The engine: prepares each layer once, then runs them in order over a dictionary of named blobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from refcoreml.errors import InternalError, InvalidModelError, RefCoreMLError, UnsupportedModelError
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork import layers as _layers  # noqa: F401 (importing them fills the table)
from refcoreml.neuralnetwork.arithmetic import ARITHMETICS, Arithmetic
from refcoreml.neuralnetwork.registry import LAYERS, Inplace, Node, Op, channels_first
from refcoreml.spec import schema

__all__ = ["MEMORY_LIMIT", "Event", "Network", "Observer", "Step"]

#: The largest blob, in bytes, that a network may ask for. A hostile file can declare any size at all.
MEMORY_LIMIT = 8 << 30


class Observer(Protocol):
    """Is shown every layer as it has run: for traces, statistics, calibration, comparison."""

    def __call__(self, step: Step, inputs: Sequence[Array], outputs: Sequence[Array], /) -> None:
        """Called in order of execution. The arrays are the network's own: look, do not write."""


@dataclass(frozen=True)
class Step:
    """A layer, prepared, at its place in the network.

    Attributes:
        index: position in the ``layers`` of the network.
        node: the layer's message and surroundings.
        op: what to run.
        inputs, outputs: names of the blobs.
        last_uses: the blobs that nobody needs after this step.
    """

    index: int
    node: Node
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last_uses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The layer's name in the model."""
        return self.node.spec.name

    @property
    def kind(self) -> str:
        """The layer's type as the schema calls it."""
        return self.node.kind


#: What a run shows of each layer: the step, its input arrays and its output arrays.
Event: TypeAlias = tuple[Step, Sequence[Array], tuple[Array, ...]]


class Network:
    """A ``NeuralNetwork`` message, ready to run on blobs. Immutable; several threads may run it at once."""

    def __init__(
        self,
        layers: Sequence[schema.NeuralNetworkLayer],
        *,
        inputs: Iterable[str],
        outputs: Iterable[str],
        rank5: bool,
        arithmetic: Arithmetic = ARITHMETICS["float32"],
        where: str = "neuralNetwork",
    ) -> None:
        """Checks the graph, prepares every layer.

        Args:
            layers: the layers in their order, which must be topological.
            inputs: names of the blobs that `run` will be given.
            outputs: names of the blobs that `run` is to return.
            rank5: whether blobs are static ``[Seq, Batch, C, H, W]``.
            arithmetic: in which numbers to compute.
            where: the network's place in the model, for errors.

        Raises:
            UnsupportedModelError: some layers have no implementation; names them all.
            InvalidModelError: the graph or a layer breaks a rule of the specification.
        """
        self.inputs, self.outputs, self.arithmetic = tuple(inputs), tuple(outputs), arithmetic
        nodes = [_node(spec, f"{where}.layers[{index}]", rank5, arithmetic) for index, spec in enumerate(layers)]
        check_supported(nodes)
        check_graph(nodes, self.inputs, self.outputs, where)
        steps = [
            Step(index, node, LAYERS[node.kind].prepare(node), tuple(node.inputs), tuple(node.outputs))
            for index, node in enumerate(nodes)
        ]
        self.steps = _with_last_uses(steps, self.outputs)
        # Rounding to a narrower storage type happens between layers, so that layers cannot be fused.
        self._fused = fuse(self.steps, self.outputs) if arithmetic.round is None else self.steps
        self._known_shapes: dict[tuple[Shape, ...], dict[str, Shape]] = {}

    def run(self, inputs: Mapping[str, Array], observe: Observer | None = None) -> dict[str, Array]:
        """Computes the output blobs from the input blobs.

        With an observer every layer runs on its own; without one, elementwise layers may be fused into the layer
        before, which changes no bit of the result.
        """
        values = self._start(inputs)
        if observe is None:
            for _ in self._walk(self._fused, values):
                pass
        else:
            for step, arguments, results in self._walk(self.steps, values):
                observe(step, arguments, results)
        return {name: values[name] for name in self.outputs}

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[Event]:
        """Runs layer by layer, each when the caller asks for the next: (step, inputs, outputs)."""
        return self._walk(self.steps, self._start(inputs))

    def _start(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.shapes({name: array.shape for name, array in inputs.items()})
        return {name: self.arithmetic.store(array) for name, array in inputs.items()}

    def _walk(self, steps: Sequence[Step], values: dict[str, Array]) -> Iterator[Event]:
        for step in steps:
            arguments = [values[name] for name in step.inputs]
            results = self._run_step(step, arguments)
            yield step, arguments, results
            values.update(zip(step.outputs, results, strict=True))
            for name in step.last_uses:
                del values[name]

    def _run_step(self, step: Step, arguments: Sequence[Array]) -> tuple[Array, ...]:
        try:
            with np.errstate(all="ignore"):
                results = step.op.run(*arguments)
        except RefCoreMLError:
            raise
        except MemoryError as error:
            raise InvalidModelError(f"not enough memory for {_came(step, arguments)}", where=step.node.where) from error
        except Exception as error:
            raise InternalError(
                f"failed on {_came(step, arguments)}: {type(error).__name__}: {error}",
                where=step.node.where,
                remedy="Please report it",
            ) from error
        results = results if isinstance(results, tuple) else (results,)
        return results if self.arithmetic.round is None else tuple(map(self.arithmetic.round, results))

    def shapes(self, inputs: Mapping[str, Shape]) -> dict[str, Shape]:
        """The shape of every blob, computed from those of the inputs without running a layer.

        Blobs whose shape depends on values are missing from the answer, and so are those computed from them.

        Raises:
            InvalidModelError: shapes do not fit a layer, or a blob would be larger than `MEMORY_LIMIT`.
        """
        key = tuple(inputs[name] for name in self.inputs)
        if key in self._known_shapes:
            return self._known_shapes[key]
        shapes: dict[str, Shape] = dict(inputs)
        for step in self.steps:
            given = [shapes.get(name) for name in step.inputs]
            if step.op.shape is None or None in given:
                for name in step.outputs:
                    shapes.pop(name, None)
                continue
            results = step.op.shape(*given)
            if step.outputs and not (results and isinstance(results[0], tuple)):
                results = (results,)  # type: ignore[assignment]
            for name, shape in zip(step.outputs, results, strict=True):
                shapes[name] = _checked_shape(step, name, shape)  # type: ignore[arg-type]
        if len(self._known_shapes) < 64:  # a stream of ever new shapes must not fill the memory
            self._known_shapes[key] = shapes
        return shapes


def _came(step: Step, arguments: Sequence[Array]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in zip(step.inputs, arguments, strict=True))


def _checked_shape(step: Step, name: str, shape: Shape) -> Shape:
    size = 4
    for length in shape:
        size *= int(length)
    if any(length < 1 for length in shape):
        step.node.invalid(f"output {name!r} would have the shape {shape}, but every dimension must be at least 1")
    if size > MEMORY_LIMIT:
        step.node.invalid(f"output {name!r} would have the shape {shape}, {size:.1e} bytes, limit {MEMORY_LIMIT:.1e}")
    return shape


def _node(spec: schema.NeuralNetworkLayer, where: str, rank5: bool, arithmetic: Arithmetic) -> Node:
    kind = spec.WhichOneof("layer")
    if kind is None:
        raise InvalidModelError(
            "the layer has no type, or one that came after specification version 10", where=f"{where} {spec.name!r}"
        )
    return Node(spec, kind, f"{where} {spec.name!r} ({kind})", arithmetic.dtype, rank5, arithmetic.store)


def check_supported(nodes: Sequence[Node]) -> None:
    """Raises `UnsupportedModelError` that names every layer without an implementation."""
    missing = [node for node in nodes if node.kind not in LAYERS]
    if not missing:
        return
    custom = Counter(node.params.className for node in missing if node.kind == "custom")
    kinds = Counter(node.kind for node in missing if node.kind != "custom")
    parts = [f"{kind} ({count} x)" for kind, count in sorted(kinds.items())]
    parts += [f"custom layer of class {name!r} ({count} x)" for name, count in sorted(custom.items())]
    raise UnsupportedModelError(
        f"{len(missing)} of {len(nodes)} layers cannot be run yet: {', '.join(parts)}", where=missing[0].where
    )


def check_graph(nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str], where: str) -> None:
    """Checks counts and names: every blob is produced once, before it is used, and every output is produced."""
    producer: dict[str, str] = dict.fromkeys(inputs, "the model's inputs")
    later = {name: node.where for node in nodes for name in node.outputs}
    for node in nodes:
        entry = LAYERS[node.kind]
        _check_count(node, "input", len(node.inputs), entry.inputs)
        _check_count(node, "output", len(node.outputs), entry.outputs)
        for name in node.inputs:
            if name not in producer:
                node.invalid(
                    f"uses blob {name!r} before it exists; {later[name]} produces it later: a cycle or a wrong order"
                    if name in later
                    else f"uses blob {name!r}, which neither the model's inputs nor any layer produce"
                )
        for name in node.outputs:
            if name in producer:
                node.invalid(f"produces blob {name!r} a second time, after {producer[name]}")
            producer[name] = node.where
    for name in outputs:
        if name not in producer:
            raise InvalidModelError(f"no layer produces {name!r}, which the model declares as an output", where=where)


def _check_count(node: Node, noun: str, count: int, allowed: tuple[int, int | None]) -> None:
    least, most = allowed
    if count < least or (most is not None and count > most):
        expected = str(least) if least == most else f"{least} to {most}" if most is not None else f"at least {least}"
        node.invalid(f"has {count} {noun}s, expected {expected}")


def _with_last_uses(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Notes at each step the blobs that can be freed after it: those not used later, nor wanted as outputs."""
    needed = set(outputs)
    result = []
    for step in reversed(steps):
        last = tuple(dict.fromkeys(name for name in (*step.inputs, *step.outputs) if name not in needed))
        needed.update(last)
        result.append(replace(step, last_uses=last))
    return result[::-1]


def fuse(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Lets elementwise layers overwrite their input where nobody else needs it, inside the layer before if it can.

    Only neighbours are considered: converters write an activation right after what it is applied to.
    """
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(outputs)
    result: list[Step] = []
    for step in steps:
        before = result[-1] if result else None
        if (
            before is None
            or step.op.inplace is None
            or before.outputs != step.inputs
            or uses[before.outputs[0]] != 1
            or not (before.op.fused or before.op.fresh)
        ):
            result.append(step)
            continue
        merged = _in_one(before, step.op.inplace, step.node.rank5)
        kept = tuple(name for name in before.last_uses if name not in before.outputs)
        freed = tuple(name for name in step.last_uses if name not in step.inputs)
        result[-1] = replace(before, op=merged, outputs=step.outputs, last_uses=kept + freed)
    return result


def _in_one(before: Step, inplace: Inplace, rank5: bool) -> Op:
    """The Op of a layer followed by an elementwise one."""
    first = before.op
    if first.fused is not None:
        fused = first.fused
        return Op(
            lambda *inputs: fused(*inputs, epilogue=inplace),
            None,
            fused=lambda *inputs, epilogue: fused(*inputs, epilogue=_both(inplace, epilogue)),
            fresh=True,
        )

    def run(*inputs: Array) -> Array:
        y: Any = first.run(*inputs)
        block = channels_first(y)
        inplace(block, slice(0, len(block)))
        return y  # type: ignore[no-any-return]

    return Op(run, None, fresh=True)


def _both(first: Inplace, second: Inplace) -> Inplace:
    def apply(block: Array, channels: slice) -> None:
        first(block, channels)
        second(block, channels)

    return apply
