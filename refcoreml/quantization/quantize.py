"""Models with smaller weights: `quantize_weights`, `dequantize_weights`."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np

from refcoreml import values
from refcoreml.errors import CallbackError, RefCoreMLError, UsageError
from refcoreml.evaluators.pipeline import inner_models
from refcoreml.features import RefCoreMLWarning
from refcoreml.kernels.half import listed
from refcoreml.kernels.threads import for_each
from refcoreml.model import Model, load
from refcoreml.quantization.schemes import Fit, LutFunction, Scheme
from refcoreml.quantization.tensors import WeightTensor, weight_tensors
from refcoreml.spec import schema
from refcoreml.spec.weights import check_weights, encode_floats
from refcoreml.types import Array

#: The specification versions that brought encodings.
_VERSIONS = {"float16": 2, "linear": 3, "lookup table": 3, "int8": 4}

#: Chooses tensors.
Chooser: TypeAlias = Callable[[WeightTensor], bool]
#: Weights of the single elements, by ``layer.field`` or by a function of the tensor; None for equal ones.
Sensitivity: TypeAlias = Mapping[str, Array] | Callable[[WeightTensor], Array | None]
#: Is told how many of how many weights are done.
Progress: TypeAlias = Callable[[int, int], None]


def quantize_weights(
    model: Any,
    nbits: int | None = None,
    mode: str = "linear",
    *,
    lut_function: LutFunction | None = None,
    selector: Chooser | None = None,
    plan: Mapping[str, tuple[int, str]] | None = None,
    fit: Fit = "minmax",
    sensitivity: Sensitivity | None = None,
    compatible: str | None = None,
    progress: Progress | None = None,
) -> Model:
    """Make a model whose weights take fewer bits. The given one stays as it is.

    ==================== ==============================================================================================
    mode                 a weight decodes to
    ==================== ==============================================================================================
    ``linear``           scale * code + bias, one scale and bias per channel where the format allows, else per tensor
    ``linear_symmetric`` the same with bias = -2^(n-1) * scale: levels symmetric about 0, which is exact; 2 to 8 bits
    ``linear_lut``       table[code], evenly spaced levels, one table per tensor
    ``kmeans``           table[code], the levels with the least sum of squared errors
    ``custom_lut``       table[code], both from the user's function
    ==================== ==============================================================================================

    16 bits store half precision (round to nearest even), 32 bits single precision; ``mode`` is then not read. A weight
    beyond the range of half precision is an error; weights that are so small that they become 0 cause a
    `RefCoreMLWarning`.

    A tensor stays as it is where Apple's validator would refuse the new encoding (`WeightTensor.allowed`), and where
    the new one would not take fewer bytes than the present one, as happens to short vectors under a long table and to
    weights that have been quantized before. Half and single precision do not mix in one layer, as the validator
    demands: the rest of the layer's float weights follow. The specification version becomes at least that which brought
    the encoding: 2 for half precision, 3 for codes. `refcoreml.quantization.weight_changes` tells what was done.

    Args:
        model: a `Model`, or whatever `refcoreml.load` takes.
        nbits: 1 to 8, 16 or 32. May be left out if there is a plan.
        mode: see above.
        lut_function: for ``custom_lut``: ``(nbits, weights) -> (table, codes)``, 2^nbits numbers and a code a weight.
        selector: which tensors to store anew, see `refcoreml.quantization.selectors`; by default all.
        plan: (bits, mode) by layer name. Other layers are stored with ``nbits``, or stay as they are without it.
        fit: how the linear modes choose the range of their levels: ``minmax`` spans all weights, so that no error is
            larger than half a step; ``mse`` makes the sum of squared errors small; ``("percentile", p)`` lets 100 - p
            per cent of the weights fall off at either end. Derivation and gains: docs/quantization.md.
        sensitivity: for ``kmeans``, how much the square of each weight's error counts: arrays by ``layer.field``, or
            a function of the tensor that returns an array of its shape or None.
        compatible: ``"coremltools"`` for exactly the codes, scales and biases of that package's linear modes, with its
            collapse of small ranges. It then stores every float32 tensor, even if it gets larger, and like
            coremltools leaves 3-D convolutions, activations and weights in half precision alone. The merging of
            normalizations into other layers that coremltools does before is not done.
        progress: called now and then with (weights done, weights in all), from one thread at a time.

    Raises:
        UsageError: bits, mode or other arguments make no sense; the plan names no layer of the model; nothing is
            selected, or there is nothing to select; a chosen layer is updatable, which takes full precision;
            a weight does not fit half precision.
        InvalidModelError: the model breaks a rule of the specification; weights are missing, NaN or infinite.
        UnsupportedModelError: the model is an ML Program.
        CallbackError: the user's selector or function failed or returned something unusable.
    """
    if nbits is None and plan is None:
        raise UsageError("neither nbits nor a plan is given")
    options: dict[str, Any] = {"fit": fit, "compatible": "" if compatible is None else compatible}
    default = None if nbits is None else Scheme(nbits, mode, lut_function=lut_function, **options)
    named = _planned_schemes(plan, lut_function, options)
    if selector is not None and not callable(selector):
        raise UsageError(f"got {values.shown(selector)}, expected a function of a tensor", where="selector")
    result = _copy(model)
    tensors = weight_tensors(result)
    _check_plan(named, tensors)
    tasks = _tasks(tensors, default, named, selector, result.name)
    lost: list[str] = []
    _run([task for task in tasks if task.is_worth_it()], sensitivity, progress, lost)
    _unmix(tensors, {task.tensor.where: task.scheme.bits for task in tasks}, lost)
    if lost:
        text = f"half precision loses numbers of {len(lost)} fields of weights: {listed(sorted(lost))}"
        warnings.warn(text, RefCoreMLWarning, stacklevel=2)
    _raise_version(result.spec, max(_VERSIONS.get(tensor.encoding.kind, 1) for tensor in tensors))
    return result


def dequantize_weights(model: Any) -> Model:
    """Make a model whose weights are all float32, with the values that they decode to. The given one stays as it is.

    Its predictions in float32 are the same, bit for bit. Layers that quantize their input as they run
    (``int8DynamicQuantize``) no longer do.

    Args:
        model: a `Model`, or whatever `refcoreml.load` takes.
    """
    result = _copy(model)
    for tensor in weight_tensors(result):
        layer = getattr(tensor.spec, tensor.kind)
        if tensor.encoding.kind == "int8" and "int8DynamicQuantize" in layer.DESCRIPTOR.fields_by_name:
            layer.int8DynamicQuantize = False  # other layers merely store such codes
        if tensor.encoding.kind != "float32":
            _store(tensor, encode_floats(tensor.values()))
    return result


def _copy(source: Any) -> Model:
    """Return a separate model, not prepared yet."""
    if not isinstance(source, Model):
        return load(source, prepare=False)
    return source.with_spec(source.spec)


def _planned_schemes(plan: Any, lut_function: LutFunction | None, options: Mapping[str, Any]) -> dict[str, Scheme]:
    """Return the schemes that a plan has, by layer name."""
    refuse = values.argument("plan")
    entries = {} if plan is None else values.mapping(plan, refuse, "a dict by layer name")
    found = {}
    for layer, entry in {values.text(layer, refuse): entry for layer, entry in entries.items()}.items():
        bits, mode = _planned(layer, entry)
        own = lut_function if values.is_a(mode, str) and mode == "custom_lut" else None
        found[layer] = Scheme(bits, mode, lut_function=own, **options)
    return found


def _planned(layer: str, entry: Any) -> tuple[int, str]:
    parts = values.items(entry, values.argument(f"plan, layer {layer!r}"), "(bits, mode)")
    if len(parts) != 2:
        raise UsageError(f"the plan says {values.shown(entry)} for layer {layer!r}, expected (bits, mode)")
    return parts[0], parts[1]


def _check_plan(named: Mapping[str, Scheme], tensors: Sequence[WeightTensor]) -> None:
    layers = list(dict.fromkeys(tensor.layer for tensor in tensors))
    for layer in named:
        if layer not in layers:
            near = values.similar(layer, layers)
            raise UsageError(
                f"the plan names {layer!r}, but no layer of that name has weights",
                remedy=f"Did you mean {near[0]!r}?" if near else _listed(layers),
            )


def _listed(layers: Sequence[str]) -> str:
    more = f" and {len(layers) - 8} more" if len(layers) > 8 else ""
    return f"Layers with weights: {', '.join(map(repr, layers[:8]))}{more}" if layers else ""


def _chosen(selector: Chooser | None, tensor: WeightTensor) -> bool:
    if selector is None:
        return True
    try:
        return bool(selector(tensor))
    except RefCoreMLError:
        raise
    except Exception as error:
        raise CallbackError(f"the selector failed: {values.reason(error)}", where=tensor.where) from error


@dataclass(frozen=True)
class _Task:
    """A tensor and how it is to be stored."""

    tensor: WeightTensor
    scheme: Scheme

    def check(self) -> None:
        """Refuse weights that are not there, and those that must stay in full precision."""
        tensor = self.tensor
        if tensor.encoding.kind == "empty":
            check_weights(tensor.message, tensor.shape, channel_axis=tensor.channel_axis, where=tensor.where)
        if tensor.updatable and self.scheme.bits != 32:
            raise UsageError(
                "is updatable, and Core ML trains only weights in full precision",
                where=tensor.where,
                remedy="Leave the layer out with a selector, or clear isUpdatable in the model and its layers",
            )

    def is_worth_it(self) -> bool:
        """Return whether the tensor can be stored so, and anything is gained."""
        tensor, bits = self.tensor, self.scheme.bits
        now = tensor.encoding
        if bits == 32:
            return now.kind not in ("float32", "int8")
        wanted = "float16" if bits == 16 else "linear" if self.scheme.mode.startswith("linear") else "lookup table"
        if wanted == "linear" and self.scheme.mode == "linear_lut":
            wanted = "lookup table"
        if wanted not in tensor.allowed:
            return False
        if self.scheme.compatible:
            return now.kind == "float32" and tensor.kind != "activation"
        return self.scheme.encoded_bytes(tensor) < tensor.stored_bytes


def _tasks(
    tensors: Sequence[WeightTensor],
    default: Scheme | None,
    named: Mapping[str, Scheme],
    selector: Chooser | None,
    model: str,
) -> list[_Task]:
    """Return what is to be stored anew, checked: in the scheme of its layer, or else in the default one."""
    tasks = [
        _Task(tensor, found)
        for tensor in tensors
        if (found := named.get(tensor.layer, default)) is not None and _chosen(selector, tensor)
    ]
    if not tasks:
        raise UsageError(
            f"none of the {len(tensors)} weight fields is selected" if tensors else "the model has no weights",
            where=model,
        )
    for task in tasks:
        task.check()
    return tasks


def _run(tasks: Sequence[_Task], sensitivity: Sensitivity | None, progress: Progress | None, lost: list[str]) -> None:
    """Store the tensors, the largest first, on several threads; ``lost`` as in `Scheme.encode`."""
    total, done, lock = sum(task.tensor.count for task in tasks), 0, threading.Lock()

    def run(task: _Task) -> None:
        nonlocal done
        made = task.scheme.encode(task.tensor, _weights_of(sensitivity, task.tensor), lost)
        if task.scheme.compatible or task.scheme.bits == 32 or made.ByteSize() < task.tensor.stored_bytes:
            _store(task.tensor, made)
        with lock:
            done += task.tensor.count
            if progress is not None:
                progress(done, total)

    # The user's functions need not know of threads.
    alone = [task for task in tasks if task.scheme.mode == "custom_lut"]
    rest = [task for task in tasks if task.scheme.mode != "custom_lut"]
    for task in alone:
        run(task)
    for_each(run, sorted(rest, key=lambda task: -task.tensor.count))


def _weights_of(sensitivity: Sensitivity | None, tensor: WeightTensor) -> Array | None:
    if sensitivity is None:
        return None
    if callable(sensitivity):
        refuse = values.argument(f"sensitivity of {tensor.name!r}", CallbackError)
        try:
            found = sensitivity(tensor)
        except Exception as error:
            raise CallbackError(f"sensitivity failed: {values.reason(error)}", where=tensor.where) from error
    else:
        refuse = values.argument(f"sensitivity of {tensor.name!r}")
        found = values.mapping(sensitivity, refuse, "a function or a dict by layer and field").get(tensor.name)
    if found is None:
        return None
    weights = values.array(found, refuse).astype(np.float64)
    if weights.size != tensor.count:
        raise UsageError(f"sensitivity has {weights.size} numbers for {tensor.count} weights", where=tensor.where)
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise UsageError("sensitivity must be finite, not negative, and somewhere positive", where=tensor.where)
    return weights


def _store(tensor: WeightTensor, made: schema.WeightParams) -> None:
    made.isUpdatable = tensor.message.isUpdatable
    tensor.message.CopyFrom(made)


def _unmix(tensors: Sequence[WeightTensor], bits: Mapping[str, int], lost: list[str]) -> None:
    """Store all float weights of a layer in one precision: half if half was wanted for one of them, else single."""
    for _, group in groupby(tensors, key=lambda tensor: tensor.where[: tensor.where.rindex(tensor.field)]):
        layer = list(group)
        kinds = {tensor.encoding.kind for tensor in layer}
        if not {"float16", "float32"} <= kinds or not any(tensor.where in bits for tensor in layer):
            continue
        half = any(bits.get(tensor.where) == 16 for tensor in layer)
        for tensor in layer:
            if tensor.encoding.kind == ("float32" if half else "float16"):
                _store(tensor, Scheme(16 if half else 32).encode(tensor, lost=lost))


def _raise_version(spec: schema.Model, least: int) -> None:
    """Set the specification version that the weights need, in a model and in those inside it."""
    spec.specificationVersion = max(spec.specificationVersion, least)
    for _, inner in inner_models(spec):
        _raise_version(inner, least)
