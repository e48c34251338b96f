"""Converts a torch network with coremltools, runs it here, and compares the two within bounds derived from it.

The network in torch runs in double precision. The converted one runs in double and in single precision; how far either
may be away is derived by `refcoreml.testing.rounding`. In double precision little is allowed but the rounding of what
the converter stored, so that a wrong epsilon or a swapped gate has nowhere to hide.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from campaigns.torch_grammar import TorchNetwork
from refcoreml.errors import RefCoreMLError
from refcoreml.model import Model, load
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.oracle.balls import Doubles
from refcoreml.testing.agreement import WIDEST, Difference, compare_outputs
from refcoreml.testing.blame import first_divergence
from refcoreml.testing.defects import DEFECTS
from refcoreml.testing.extras import coremltools, torch
from refcoreml.testing.rounding import UNIT32, UNIT64, Constants, Undetermined, blob_bounds
from refcoreml.testing.torch_modules import in_double, record_torch, run_torch, source_constants

__all__ = ["REFUSALS", "Outcome", "check", "convert", "convert_model", "mended"]

#: What the converter says no to, and what that means.
REFUSALS: dict[str, str] = {
    r"prelu op: rank 3 or rank 5 input": "PReLU with one slope per channel, on a matrix or sequence",
    r"Layer with name .* has already been added": "two operators derive the same name for a helper of the same input",
}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's progress bars, warnings and log lines to itself."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def convert(module: Any, inputs: Sequence[Any], *, scripted: bool = False, without: Sequence[str] = ()) -> Any:
    """Return the neural network, version 4 or later, that coremltools' converter writes for a torch module.

    Args:
        module, inputs, scripted, without: as for `convert_model`.
    """
    options = {"convert_to": "neuralnetwork"}
    return convert_model(module, inputs, scripted=scripted, without=without, **options).get_spec()


def convert_model(
    module: Any, inputs: Sequence[Any], *, scripted: bool = False, without: Sequence[str] = (), **options: Any
) -> Any:
    """Return the model that coremltools' converter makes of a torch module.

    Args:
        module: the network, in evaluation mode.
        inputs: sample tensors; the inputs of the model are called ``x0``, ``x1``, ...
        scripted: whether to script the module (its children are traced) rather than trace it.
        without: passes of the converter to leave out, such as ``common::fuse_conv_bias``.
        options: further arguments of the converter.
    """
    with _quiet(), torch.no_grad():
        if scripted:
            program = copy.deepcopy(module)
            for name, child in module.named_children():
                setattr(program, name, torch.jit.trace(child, tuple(inputs), check_trace=False))
            program = torch.jit.script(program)
        else:
            program = torch.jit.trace(module, tuple(inputs), check_trace=False)
        types = [
            coremltools.TensorType(name=f"x{i}", shape=tuple(x.shape), dtype=_numpy_type(x))
            for i, x in enumerate(inputs)
        ]
        if without:
            options["pass_pipeline"] = coremltools.PassPipeline.DEFAULT
            options["pass_pipeline"].remove_passes(set(without))
        return coremltools.convert(program, inputs=types, skip_model_load=True, **options)


def _numpy_type(x: Any) -> Any:
    return np.float32 if x.is_floating_point() else np.int32


@dataclass(frozen=True)
class Outcome:
    """What became of a network.

    Attributes:
        kind: ``agrees``; ``known`` (differs because of defects of the converter that are listed, and agrees without
            them); ``undetermined`` (rounding may change a decision, or the bounds in double precision are wider than
            `WIDEST`, so that nothing can be said); ``refused`` by the converter for a listed reason; ``failed``
            (conversion, loading or running, for no listed reason); ``differs``.
        message: why.
        difference: the outputs that differ, for ``differs``.
        tightness: the widest bounds in double and in single precision, see `Sharpness`; infinite where nothing was
            compared.
        used: the largest part of the bounds that was used, likewise.
    """

    kind: str
    message: str = ""
    difference: Difference | None = None
    tightness: tuple[float, float] = (np.inf, np.inf)
    used: tuple[float, float] = (0.0, 0.0)


def check(network: TorchNetwork, spec: Any = None) -> Outcome:
    """Convert a network and compare.

    Args:
        network: the network.
        spec: what it was converted to; by default it is converted here.
    """
    if spec is not None:
        return _check(network, spec)
    try:
        spec = convert(network.module, network.inputs, scripted=network.scripted)
    except Exception as error:  # whatever a converter may raise
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        reason = refusal(message)
        return Outcome("refused", reason) if reason else Outcome("failed", f"the converter raises {message}")
    outcome = _check(network, spec)
    if outcome.kind != "differs":
        return outcome
    every = tuple(DEFECTS)
    for defects in (*((name,) for name in every), every):
        without = _check(network, mended(network, defects))
        if without.tightness[0] <= WIDEST:  # without the defects it agrees in double precision
            return Outcome("known", ", ".join(defects), outcome.difference, without.tightness, without.used)
        if without.kind == "undetermined":
            message = f"differs, but without {', '.join(defects)} nothing can be said: {without.message}"
            return Outcome("undetermined", message, outcome.difference)
    return outcome


def mended(network: TorchNetwork, defects: Sequence[str]) -> Any:
    """Return what the converter would write without some of its `DEFECTS`."""
    entries = [DEFECTS[name] for name in defects]
    passes = [entry.converter_pass for entry in entries if entry.converter_pass]
    spec = convert(network.module, network.inputs, scripted=network.scripted, without=passes)
    for entry in entries:
        if entry.mend is not None and not entry.converter_pass:
            for layer in walk_layers(spec.neuralNetwork.layers):
                entry.mend(layer)
    return spec


def _check(network: TorchNetwork, spec: Any) -> Outcome:
    module, inputs = in_double(network.module, network.inputs)
    results = run_torch(module, inputs)
    expected = [_double(t) for t in (results if isinstance(results, tuple) else (results,))]
    values = {f"x{i}": x.numpy() for i, x in enumerate(network.inputs)}
    try:
        double, single = load(spec, precision="float64"), load(spec)
        return _compare(double, single, values, expected, source_constants(network.module), module, inputs)
    except RefCoreMLError as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")


def _double(tensor: Any) -> Doubles:
    return np.asarray(tensor.detach().double().numpy())


def _compare(
    double: Model,
    single: Model,
    values: Mapping[str, Any],
    expected: Sequence[Doubles],
    constants: Constants,
    module: Any,
    inputs: Sequence[Any],
) -> Outcome:
    names = [feature.name for feature in double.outputs]
    if len(names) != len(expected):
        return Outcome("differs", f"{len(expected)} outputs became {len(names)}")
    tightness, used, message = [np.inf, np.inf], [0.0, 0.0], ""
    for number, (model, unit) in enumerate(((double, UNIT64), (single, UNIT32))):
        try:
            bounds = blob_bounds(double, values, unit=unit, constants=constants)
        except Undetermined as error:
            message = f"{model.precision}: a branch or loop hangs on rounding: {error}"
            break
        if model is double:
            actual = {name: bounds[name].value for name in names if name in bounds}
        else:
            actual = single.predict(values)
        radii = {name: bounds[name].radius if name in bounds else np.zeros(()) for name in names}
        difference, sharpness = compare_outputs(names, actual, expected, radii)
        if difference is not None:
            divergence = first_divergence(double, values, record_torch(module, inputs), constants).text
            message = f"{model.precision}: {difference.message}"
            return Outcome("differs", f"{message}; {divergence}", difference)
        tightness[number], used[number] = sharpness.width, sharpness.used
        if not message and sharpness.width > (WIDEST if model is double else sys.float_info.max):
            message = f"{model.precision}: {sharpness.message}"
    kind = "undetermined" if message else "agrees"
    return Outcome(kind, message, None, (tightness[0], tightness[1]), (used[0], used[1]))


def refusal(message: str) -> str:
    """Return the reason that belongs to an error of the converter, or nothing."""
    return next((reason for pattern, reason in REFUSALS.items() if re.search(pattern, message)), "")
