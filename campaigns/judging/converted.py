"""Networks as coremltools converts them, with where in the module each operation is from."""

from __future__ import annotations

import functools
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.converter import convert_model
from campaigns.judging.graphs import Graph, NetworkGraph, ProgramGraph, graph_of, names_of
from campaigns.judging.networks import NETWORKS, Network, OnGrid
from refcoreml.model import load
from refcoreml.spec import schema
from refcoreml.testing.extras import coremltools, torch

__all__ = ["FORMS", "Converted", "convert_network", "converted", "quicken"]

#: Passes that fold batch norms and biases.
FOLDING = (
    *("common::fuse_conv_batchnorm", "common::fuse_conv_scale", "common::fuse_conv_bias", "common::fuse_linear_bias"),
)

#: What a network is converted to: the arguments of the converter by name; ``without`` are passes to leave out.
FORMS: Mapping[str, Mapping[str, Any]] = {
    "network": {"convert_to": "neuralnetwork"},
    "program": {"convert_to": "mlprogram", "target": "iOS16", "half": False},
    "program18": {"convert_to": "mlprogram", "target": "iOS18", "half": False},
    "unfolded": {"convert_to": "mlprogram", "target": "iOS15", "half": False, "without": FOLDING},
    "half": {"convert_to": "mlprogram", "target": "iOS15", "half": True},
}


@dataclass(frozen=True)
class Converted:
    """A converted network.

    Attributes:
        data: the model, with all numbers in the message.
        paths: the module that each operation is from, such as ``layers.0.norm1``, by its name and those of its results.
    """

    data: bytes
    paths: Mapping[str, str]

    def spec(self) -> schema.Model:
        """Return the model; each call returns another message."""
        return schema.Model.FromString(self.data)

    def graph(self) -> Graph:
        """Return the operations of another copy of the model."""
        return graph_of(self.spec())

    def at(self, path: str, kind: str = "") -> list[str]:
        """Return the names of operations that are from a module, or from what is folded into it."""
        found = []
        for operation in self.graph().operations():
            own = next((self.paths[name] for name in names_of(operation) if name in self.paths), None)
            if own == path and kind in ("", operation.kind):
                found.append(operation.name)
        return found


def quicken() -> None:
    """Prepare this process for many small conversions: one thread, and little for garbage collection to look at."""
    torch.set_num_threads(1)
    coremltools.load()
    gc.collect()
    gc.freeze()


@functools.cache
def converted(network: str, form: str) -> Converted:
    """Return a network converted rightly."""
    found = NETWORKS[network]
    return convert_network(found, found.module(), form)


def convert_network(network: Network, module: Any, form: str, *, faithful: bool = True) -> Converted:
    """Convert a module that takes the inputs of a network.

    Args:
        network: whose inputs it takes.
        module: the module.
        form: one of `FORMS`.
        faithful: whether passes that change results are left out.
    """
    options = dict(FORMS[form])
    without = [*options.pop("without", ()), *(network.without if faithful else ())]
    if options["convert_to"] == "mlprogram":
        options["minimum_deployment_target"] = getattr(coremltools.target, options.pop("target"))
        precision = coremltools.precision
        options["compute_precision"] = precision.FLOAT16 if options.pop("half") else precision.FLOAT32
    outputs = [coremltools.TensorType(name="y0")]
    made = convert_model(module, network.inputs(), without=without, outputs=outputs, **options)
    model = load(made, prepare=False)
    if options["convert_to"] == "mlprogram":
        graph: Graph = ProgramGraph(model.spec, model.weight_files)
    else:
        graph = NetworkGraph(model.spec)
    found = Converted(graph.spec.SerializeToString(deterministic=True), _paths(made))
    return _quantized(found, module)


def _paths(made: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    scope = coremltools.converters.mil.mil.scope.ScopeSource.TORCHSCRIPT_MODULE_NAME
    for function in made._mil_program.functions.values():
        for operation in function.operations:
            if operation.op_type != "const":
                path = ".".join(operation.scopes.get(scope, [])[:-1])
                found.update(dict.fromkeys([operation.name, *(out.name for out in operation.outputs)], path))
    return found


def _quantized(found: Converted, module: Any) -> Converted:
    """Return the model with those weights in 8 bits that are multiples of a scale."""
    parts = {path: part for path, part in module.named_modules() if isinstance(part, OnGrid)}
    if not parts:
        return found
    graph = found.graph()
    for path, part in parts.items():
        codes, scales = part.codes()
        (name,) = found.at(path)
        graph.quantize(name, codes.numpy(), scales.numpy())
    return Converted(graph.spec.SerializeToString(deterministic=True), found.paths)
