"""The table of layers: one entry per member of the schema's ``NeuralNetworkLayer.layer``, filled by the decorator
`layer`.

A layer is a function that gets a `Node` (its message and what surrounds it), checks the parameters, decodes the
weights, and returns an operation of `refcoreml.ops`. It is called once per network; the operation runs once per
prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from refcoreml.errors import Placed, RefCoreMLError
from refcoreml.execution.limits import Budget, Limits
from refcoreml.execution.steps import Step
from refcoreml.execution.table import Table
from refcoreml.kernels.half import losses
from refcoreml.ops import base
from refcoreml.spec import schema
from refcoreml.spec.weights import check_weights, decode_weights
from refcoreml.types import Array, Form, Shape, TensorType

#: The most dimensions that a blob may have.
MAX_RANK = 5


@dataclass(frozen=True)
class Vector(base.Adapted):
    """An operation whose result of rank 0 is [1], as networks have it."""

    def infer(self, *inputs: TensorType) -> base.Types | None:
        """Return the operation's type, with a shape of [1] for a scalar."""
        found = self.op.infer(*inputs)
        return found.with_shape(found.shape or (1,)) if isinstance(found, TensorType) else found

    def run(self, *inputs: Array) -> Array:
        """Return the operation's result, as [1] if it is a scalar."""
        y: Any = self.op.run(*inputs)
        return np.atleast_1d(y)


@dataclass(frozen=True)
class Vectors(base.Adapted):
    """An operation that gets blobs of rank 0 as [1]."""

    def taken(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return the inputs, those of rank 0 as [1]."""
        return [x if x.ndim else x.reshape(1) for x in inputs]

    @staticmethod
    def _types(inputs: Sequence[TensorType]) -> Iterator[TensorType]:
        return (x if x.shape else x.with_shape((1,)) for x in inputs)

    def resolve(self, *inputs: TensorType) -> base.Op:
        """Return the operation for vectors."""
        return self.op.resolve(*self._types(inputs))

    def infer(self, *inputs: TensorType) -> base.Types | None:
        """Return what the operation infers for vectors."""
        return self.op.infer(*self._types(inputs))

    def infer_from(self, *inputs: Array) -> base.Types | None:
        """Return what the operation infers from vectors."""
        return self.op.infer_from(*self.taken(inputs))

    def run(self, *inputs: Array) -> base.Results:
        """Return what the operation computes of vectors."""
        return self.op.run(*self.taken(inputs))

    @property
    def inplace(self) -> base.Inplace | None:  # type: ignore[override]
        """Return that of the operation: it is used where the blob has the type of the result."""
        return self.op.inplace

    @property
    def fused(self) -> Callable[..., Array] | None:  # type: ignore[override]
        """Return that of the operation, on vectors."""
        fused = self.op.fused
        return None if fused is None else lambda *inputs, epilogue: fused(*self.taken(inputs), epilogue=epilogue)


@dataclass(frozen=True)
class Like(base.Adapted):
    """An operation that has its shape as an attribute, in the shape of a blob whose values are not read."""

    def resolve(self, *inputs: TensorType) -> base.Op:
        """Return the operation of this shape."""
        return self._of(inputs[0].shape)

    def _of(self, shape: Shape) -> base.Op:
        op: Any = self.op
        made: base.Op = replace(op, shape=shape)
        return made

    def infer(self, *inputs: TensorType) -> base.Types | None:
        """Return what the operation of this shape infers."""
        return self._of(inputs[0].shape).infer()

    def run(self, *inputs: Array) -> base.Results:
        """Return what the operation of this shape computes."""
        return self._of(inputs[0].shape).run()


@dataclass(frozen=True)
class Restricted(base.Adapted):
    """An operation that networks have for fewer shapes than it could take.

    Attributes:
        check: called with the shapes of the inputs; raises `InvalidModelError` for those that they do not have.
    """

    check: Callable[..., None]

    def infer(self, *inputs: TensorType) -> base.Types | None:
        """Return what the operation infers, for shapes that pass."""
        self.check(*(x.shape for x in inputs))
        return self.op.infer(*inputs)


class WeightField(NamedTuple):
    """A field of weights that a layer requests.

    Attributes:
        name: the field's name, such as ``weights``.
        message: what it holds.
        holder: the message that the field is in: the layer's own, or one inside it.
        shape: the declared shape; the number of stored values must equal its product.
        channel_axis: the axis along which per-channel scales of linear quantization run.
    """

    name: str
    message: schema.WeightParams
    holder: Any
    shape: Shape
    channel_axis: int


class WeightSource(Protocol):
    """Answers the requests of layers; see `Decoder`, which reads the file.

    A layer knows the shapes of its weights, and nobody else does. Whoever wants something else than their values (where
    they are, for quantization; changed ones, for bounds) prepares the layer again with a source of its own.
    """

    def read(self, node: Node, field: WeightField) -> Array:
        """Return weights of the field's shape, in the node's type."""


class Decoder:
    """The source of a network that is to run: the values in the model."""

    def read(self, node: Node, field: WeightField) -> Array:
        """Return the decoded values, as the arithmetic stores them."""
        return node.decode(field.message, field.shape, field.name, channel_axis=field.channel_axis)


@dataclass(frozen=True)
class Node(Placed):
    """What a layer sees while it is prepared.

    Attributes:
        spec: the ``NeuralNetworkLayer`` message.
        kind: the layer's name in the schema, such as ``innerProduct``.
        where: the layer's place in the model, for error messages.
        inputs, outputs: names of the blobs.
        dtype: the type in which kernels compute; weights are decoded to it.
        rank5: True in rank-5 networks, whose blobs are ``[Seq, Batch, C, H, W]``, False in N-D networks.
        round: rounds blobs and weights to the storage type of the arithmetic, where it has one.
        strict: whether what the specification leaves undefined, such as an index out of range, is an error.
        bodies: nodes of the networks inside a branch or loop, by the name of their field.
        steps: the steps of these networks; empty for who wants the layers one by one.
        custom_layers: the code of custom layers, by class name.
        lost: gets a line for each field of weights of which `round` made numbers infinite or 0.
        budget: how much memory weights and blobs may take.
        source: where weights come from.
    """

    spec: schema.NeuralNetworkLayer
    kind: str
    where: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtype: type[np.floating[Any]] = np.float32
    rank5: bool = True
    round: Form | None = None
    strict: bool = True
    bodies: Mapping[str, Sequence[Node]] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    custom_layers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget, compare=False)
    source: WeightSource = field(default_factory=Decoder, compare=False)

    @property
    def params(self) -> Any:
        """The layer's own message, such as ``PoolingLayerParams``."""
        return getattr(self.spec, self.kind)

    @property
    def limits(self) -> Limits:
        """The limits of the model."""
        return self.budget.limits

    def weights(self, field_name: str, shape: Shape, *, channel_axis: int = 0, message: Any = None) -> Array:
        """Return what the source has for a ``WeightParams`` field of the layer (or of ``message``), usually its values.

        Args:
            field_name: the field's name, such as ``weights``; it also names the place of an error.
            shape: the declared shape; the number of stored values must equal its product.
            channel_axis: the axis along which per-channel scales of linear quantization run.
            message: the message that holds the field, if it is not the layer's own.
        """
        holder = self.params if message is None else message
        if len(shape) > MAX_RANK:
            self.invalid(f"{field_name} have {len(shape)} dimensions, expected at most {MAX_RANK}")
        dims = tuple(map(int, shape))
        field = WeightField(field_name, getattr(holder, field_name), holder, dims, channel_axis)
        try:
            return self.source.read(self, field)
        except RefCoreMLError as error:
            error.rule = error.rule or "layer.weights"
            raise

    def decode(self, message: Any, shape: Shape, what: str, *, channel_axis: int = 0) -> Array:
        """Decode a ``WeightParams`` message, counting its size, to the node's type; arguments as of `weights`."""
        where = f"{self.where}.{what}"
        encoding = check_weights(message, shape, channel_axis=channel_axis, where=where)
        self.budget.decode(math.prod(shape) * np.dtype(self.dtype).itemsize, where)
        return self.stored(
            decode_weights(message, shape, dtype=self.dtype, channel_axis=channel_axis, where=where, encoding=encoding),
            what,
        )

    def stored(self, weights: Array, what: str) -> Array:
        """Return weights, or numbers that follow from them, as the arithmetic stores them, and note what that loses.

        Args:
            weights: the numbers.
            what: the field or formula that they come from.
        """
        if self.round is None:
            return weights
        rounded = self.round(weights)
        found = losses(weights, rounded)
        if found:
            self.lost.append(f"{self.where}.{what}: {found}")
        return rounded


Prepare: TypeAlias = Callable[[Node], base.Op]


@dataclass(frozen=True)
class LayerType:
    """An entry of the table.

    Attributes:
        name: the schema's name of the layer.
        prepare: the function that turns a `Node` into an operation.
        inputs: minimum and maximum number of inputs; None for no upper limit.
        outputs: minimum and maximum number of outputs; None for no upper limit.
        scalars: whether the layer distinguishes blobs of rank 0 from blobs [1].
        makes_scalars: whether its outputs may have rank 0.
    """

    name: str
    prepare: Prepare
    inputs: tuple[int, int | None]
    outputs: tuple[int, int | None]
    scalars: bool = False
    makes_scalars: bool = False


LAYERS: Table[LayerType] = Table("layer")

Count: TypeAlias = int | tuple[int, int | None]


def layer(
    name: str, *, inputs: Count = 1, outputs: Count = 1, scalars: bool = False, makes_scalars: bool = False
) -> Callable[[Prepare], Prepare]:
    """Register a layer under the name that the schema's ``oneof`` gives it; a second registration raises.

    Args:
        name: the member of ``NeuralNetworkLayer.layer``.
        inputs: how many inputs the layer takes, or (minimum, maximum) with None for "any number".
        outputs: likewise for its outputs.
        scalars: whether it distinguishes blobs of rank 0, which slices make, from blobs [1]; others get the latter.
        makes_scalars: whether its outputs may have rank 0.
    """
    if name not in schema.NeuralNetworkLayer.DESCRIPTOR.fields_by_name:
        raise ValueError(f"the schema has no layer named {name!r}")
    LAYERS.check_new(name)

    def register(prepare: Prepare) -> Prepare:
        LAYERS.add(name, LayerType(name, prepare, _range(inputs), _range(outputs), scalars, makes_scalars))
        return prepare

    return register


def prepare_layer(node: Node) -> base.Op:
    """Return the operation that a layer stands for. Infinite weights may cause warnings of NumPy."""
    return LAYERS[node.kind].prepare(node)


def _range(count: Count) -> tuple[int, int | None]:
    return (count, count) if isinstance(count, int) else count


def channel_axis(rank: int) -> int:
    """Return the channel axis of a blob: C of [..., C, H, W], also of rank 3; the last axis of a blob that has no C.

    Apple's own tests expect this of rank-3 blobs in l2normalize and lrn, and its converter writes mvn and scale so.
    Softmax is the exception that has been seen: it reads a rank-3 blob as (Seq, Batch, C).
    """
    return -3 if rank >= 3 else -1
