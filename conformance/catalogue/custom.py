"""Custom layers: code that the application brings. A case says in words and formulas what each is to compute.

References come from a twin: a network of other layers that computes the same, and that the oracle knows bounds of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from conformance.catalogue.data import Source, draw
from conformance.catalogue.plan import Array, Plan, W, features_of, network
from refcoreml import build

_FAMILY = "custom"

#: What the classes compute. `conformance/sessions/custom_layers.py` has them in Python.
DEFINITIONS = {
    "ConformanceScale": (
        "Parameters factor (double) and channels (int, C). weights[0]: C numbers. Input x, of which C is the "
        "third axis from the end. Output y of the same shape: y[..., c, i, j] = factor * x[..., c, i, j] + "
        "weights[0][c]."
    ),
    "ConformanceParameters": (
        "Parameters shift (int), factor (double), operation (string), negate (boolean), offset (long). Input "
        "x; n is the length of its last axis. Output y of the same shape, in four steps: y[..., j] = factor * "
        "x[..., (j - shift) mod n]; then, where operation is 'add', x is added, where it is 'subtract', x is "
        "subtracted; then, where negate is true, the sign is changed; then offset mod 7 is added. a mod b is "
        "the number from 0 to b - 1 that differs from a by a multiple of b, for negative a too."
    ),
    "ConformanceOutputs": (
        "Inputs a [N, M] and b [K]. Outputs y [M, N] and z [K, M]: y[m, n] = a[n, m]; z[k, m] = b[k] + the "
        "sum over all n of a[n, m]."
    ),
    "ConformancePositive": (
        "Input x. Output y, a vector: the numbers of x that are above 0, in row-major order. How long it is "
        "depends on them."
    ),
    "ConformanceTotal": "Input x. Output y, a single number without axes: the sum of all numbers of x.",
    "ConformanceWrites": "Input x. Output y: a copy of x. Then, if it can, sets all numbers of x to 0.",
    "ConformanceFails": "Input x. Raises an error, or says that it failed, whenever it is to compute.",
    "ConformanceWrongShape": ("Input x [N]. Says that the output has the shape of x, and then returns N + 1 numbers."),
}

#: Adds layers to a network, given weights that are drawn or read once.
Adds: TypeAlias = Callable[[build.Network, Any], None]


def plans() -> Iterator[Plan]:
    yield from _scales()
    yield from _parameters()
    yield from _shapes()
    yield from _inside()
    yield from _invalid()


def _cases(
    label: str,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: list[str],
    custom: Adds,
    twin: Adds,
    data: str = "integers zero-mean",
    weights: W | None = None,
    exact: bool = True,
) -> Iterator[Plan]:
    """Yield a case for each kind of data, of a network and its twin."""
    for kind in data.split():
        source = Source(f"custom/{label}/{kind}")
        inputs = {name: draw(source, kind, shape) for name, shape in shapes.items()}
        stored = weights.make(source, kind) if weights else None
        nets = [build.Network(dict(shapes), outputs, exact=exact) for _ in range(2)]
        custom(nets[0], stored)
        twin(nets[1], stored)
        features = sorted({*features_of(weights), "exact ranks" if exact else "rank 5"})
        plan = network(f"custom/{label}", _FAMILY, nets[0], inputs, kind, free_ones=not exact, features=features)
        plan.custom_layers = _definitions(nets[0])
        plan.twin = nets[1].spec().SerializeToString(deterministic=True)
        yield plan


def _definitions(net: build.Network) -> dict[str, str]:
    """Return those that the network's file names, at whatever depth."""
    content = net.spec().SerializeToString()
    return {name: text for name, text in DEFINITIONS.items() if name.encode() in content}


def _layers(*items: tuple[str, list[str], list[str], dict[str, Any]]) -> dict[str, Any]:
    net = build.Network({}, [], exact=True)
    for kind, inputs, outputs, fields in items:
        net.add(kind, inputs=inputs, outputs=outputs, **fields)
    return {"layers": net.layers}


def _scale(factor: float, weights: Any, channels: int) -> dict[str, Any]:
    settings = {"factor": factor, "channels": channels}
    return {"class_name": "ConformanceScale", "parameters": settings, "weights": [weights]}


def _scale_twin(factor: float, weights: Any, channels: int) -> dict[str, Any]:
    shift = {"has_bias": True, "shape_bias": [channels], "bias": weights}
    return {"shape_scale": [1], "scale": np.array([factor], np.float32), **shift}


def _scales() -> Iterator[Plan]:
    # Factors have few digits, so that a number in single precision, as the twin has it, is the same.
    for encoding, data in {
        "float32": "integers zero-mean wide",
        "float16": "zero-mean",
        "linear3c": "integers zero-mean",
        "linear6": "zero-mean",
        "lut5": "zero-mean",
        "int8c": "zero-mean",
    }.items():
        yield from _cases(
            "scale" if encoding == "float32" else f"scale-{encoding}",
            {"x": (5, 3, 7)},
            ["y"],
            lambda net, w: net.add("custom", outputs="y", **_scale(1.5, w, 5)),
            lambda net, w: net.add("scale", outputs="y", **_scale_twin(1.5, w, 5)),
            data,
            W((5,), encoding),
        )
    yield from _cases(
        "scale-rank-5",
        {"x": (5, 3, 7)},
        ["y"],
        lambda net, w: net.add("custom", outputs="y", **_scale(-0.75, w, 5)),
        lambda net, w: net.add("scale", outputs="y", **_scale_twin(-0.75, w, 5)),
        weights=W((5,)),
        exact=False,
    )

    def twice(net: build.Network, kind: str, make: Any, w: Any) -> None:
        net.add(kind, inputs="x", outputs="t", **make(1.5, w, 5))
        net.add(kind, inputs="t", outputs="y", **make(-0.25, w, 5))

    # One class, two layers: each has parameters of its own.
    yield from _cases(
        "scale-twice",
        {"x": (5, 3, 7)},
        ["t", "y"],
        lambda net, w: twice(net, "custom", _scale, w),
        lambda net, w: twice(net, "scale", _scale_twin, w),
        weights=W((5,)),
    )


def _parameters() -> Iterator[Plan]:
    # A long integer that loses something where it is cut to 32 bits, and one below 0.
    for operation, negate, shift, offset in [("add", False, 2, 2**40 + 3), ("subtract", True, -3, -(2**40) - 4)]:
        settings = {"shift": shift, "factor": 2.5, "operation": operation, "negate": negate, "offset": offset}

        def custom(net: build.Network, _: Any, settings: Any = settings) -> None:
            net.add("custom", outputs="y", class_name="ConformanceParameters", parameters=settings)

        def twin(net: build.Network, _: Any, settings: Any = settings) -> None:
            cut = 7 - settings["shift"] % 7
            net.add("splitND", inputs="x", outputs=["a", "b"], axis=-1, num_splits=2, split_sizes=[cut, 7 - cut])
            net.add("concatND", inputs=["b", "a"], outputs="rolled", axis=-1)
            net.add("multiply", outputs="scaled", alpha=2.5)
            net.add(f"{settings['operation']}Broadcastable", inputs=["scaled", "x"], outputs="with")
            net.add("multiply", outputs="signed", alpha=-1 if settings["negate"] else 1)
            net.add("add", outputs="y", alpha=settings["offset"] % 7)

        yield from _cases(f"parameters-{operation}", {"x": (3, 7)}, ["y"], custom, twin)


def _shapes() -> Iterator[Plan]:
    def outputs_twin(net: build.Network, _: Any) -> None:
        net.add("transpose", inputs="a", outputs="y", axes=[1, 0])
        net.add("reduceSum", inputs="a", outputs="sums", axes=[0], keep_dims=True)
        net.add("expandDims", inputs="b", outputs="column", axes=[1])
        net.add("addBroadcastable", inputs=["column", "sums"], outputs="z")

    yield from _cases(
        "outputs",
        {"a": (4, 6), "b": (5,)},
        ["y", "z"],
        lambda net, _: net.add("custom", inputs=["a", "b"], outputs=["y", "z"], class_name="ConformanceOutputs"),
        outputs_twin,
    )

    def positive_twin(net: build.Network, _: Any) -> None:
        net.add("greaterThan", outputs="above", alpha=0)
        net.add("whereNonZero", outputs="places")
        net.add("gatherND", inputs=["x", "places"], outputs="y")

    yield from _cases(
        "values-decide-shape",
        {"x": (3, 7)},
        ["y"],
        lambda net, _: net.add("custom", outputs="y", class_name="ConformancePositive"),
        positive_twin,
    )
    yield from _cases(
        "total",
        {"x": (3, 7)},
        ["y"],
        lambda net, _: net.add(
            "custom", outputs="y", class_name="ConformanceTotal", description="twice the sum, says this text"
        ),
        lambda net, _: net.add("reduceSum", outputs="y", reduce_all=True),
    )

    def written(net: build.Network, kind: str, fields: dict[str, Any]) -> None:
        # What the code does to its input must not reach the layer after it.
        net.add("add", inputs="x", outputs="t", alpha=1)
        net.add(kind, inputs="t", outputs="y", **fields)
        net.add("multiply", inputs="t", outputs="z", alpha=2)

    yield from _cases(
        "writes",
        {"x": (3, 7)},
        ["y", "z"],
        lambda net, _: written(net, "custom", {"class_name": "ConformanceWrites"}),
        lambda net, _: written(net, "multiply", {"alpha": 1}),
    )


def _inside() -> Iterator[Plan]:
    """In a branch that is taken, in one that is not, and in a loop."""

    def branch(kind: str, make: Any) -> Adds:
        def add(net: build.Network, w: Any) -> None:
            net.add("reduceMax", inputs="x", outputs="greatest", reduce_all=True)
            net.add("greaterThan", outputs="c", alpha=0)
            net.add(
                "branch",
                inputs="c",
                outputs=[],
                if_branch=_layers((kind, ["x"], ["y"], make(1.5, w, 5))),
                else_branch=_layers((kind, ["x"], ["y"], make(-0.75, w, 5))),
            )

        return add

    def loop(kind: str, make: Any) -> Adds:
        def add(net: build.Network, w: Any) -> None:
            net.add("copy", inputs="x", outputs="y")
            body = _layers((kind, ["y"], ["t"], make(-0.5, w, 5)), ("copy", ["t"], ["y"], {}))
            net.add("loop", inputs=[], outputs=[], max_loop_iterations=3, body_network=body)

        return add

    for label, made in {"in-branch": branch, "in-loop": loop}.items():
        custom, twin = made("custom", _scale), made("scale", _scale_twin)
        yield from _cases(label, {"x": (5, 3, 7)}, ["y"], custom, twin, weights=W((5,)))


def _invalid() -> Iterator[Plan]:
    x: dict[str, Array] = {"x": draw(Source("custom/invalid"), "integers", (4,))}

    def case(label: str, clause: str, rule: str, add: Any, inputs: Any = x, outputs: Any = ("y",)) -> Plan:
        net = build.Network({name: array.shape for name, array in inputs.items()}, list(outputs), exact=True)
        add(net)
        plan = network(f"custom/invalid-{label}", _FAMILY, net, inputs, verdict="invalid", rule=rule)
        plan.custom_layers, plan.clauses = _definitions(net), [f"custom.{clause}"]
        return plan

    def simple(name: str) -> Callable[[build.Network], None]:
        return lambda net: net.add("custom", outputs="y", class_name=name)

    image = {"x": draw(Source("custom/invalid"), "integers", (5, 3, 7))}
    scale = _scale(1.5, W((5,)).make(Source("custom/invalid"), "integers"), 5)
    valueless = {**scale, "parameters": {"channels": 5, "factor": {}}}
    yield case("no-class", "C1", "className must not be empty", simple(""))
    yield case(
        "no-value",
        "C1",
        "every parameter must have a value",
        lambda net: net.add("custom", outputs="y", **valueless),
        image,
    )
    yield case(
        "outputs",
        "C2",
        "the code must return as many outputs as the layer has",
        lambda net: net.add("custom", outputs=["y", "z"], **scale),
        image,
        ("y", "z"),
    )
    yield case("shape", "C2", "the code must return the shapes that it said", simple("ConformanceWrongShape"))
    yield case("fails", "C3", "where the code fails there is no result", simple("ConformanceFails"))
