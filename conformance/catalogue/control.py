"""branch, loop, loopBreak, loopContinue, and copies over blobs that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from conformance.catalogue.data import Source, draw
from conformance.catalogue.plan import Plan, family, network
from refcoreml import build

_FAMILY = "control flow"
family(_FAMILY, "branch loop loopBreak loopContinue copy")


def _layers(*items: tuple[str, Any, Any, dict[str, Any]]) -> dict[str, Any]:
    net = build.Network({}, [], exact=True)
    for kind, inputs, outputs, fields in items:
        net.add(kind, inputs=inputs, outputs=outputs, name=f"{kind}-{'-'.join(outputs) or len(net.layers)}", **fields)
    return {"layers": net.layers}


def _add(a: str, b: str, y: str) -> tuple[str, Any, Any, dict[str, Any]]:
    return "addBroadcastable", [a, b], [y], {}


def _copy(x: str, y: str) -> tuple[str, Any, Any, dict[str, Any]]:
    return "copy", [x], [y], {}


def _number(y: str, value: float) -> tuple[str, Any, Any, dict[str, Any]]:
    return "fillStatic", [], [y], {"value": value, "target_shape": [1]}


def plans() -> Iterator[Plan]:
    yield from _branches()
    yield from _loops()
    yield from _invalid()


def _invalid() -> Iterator[Plan]:
    x = draw(Source("invalid"), "integers", (3, 5))

    def case(kind: str, label: str, clause: str, rule: str, net: build.Network, **more: Any) -> Plan:
        plan = network(f"{kind}/invalid-{label}", _FAMILY, net, {"x": x, **more}, verdict="invalid", rule=rule)
        plan.clauses = [f"{kind}.{clause}"]
        return plan

    net = build.Network({"x": (3, 5)}, ["x"], exact=True)
    net.add("copy", inputs=["x"], outputs=["x"])
    yield case("copy", "same", "C1", "the output must be another blob", net)
    net = build.Network({"x": (3, 5), "c": (1,)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("branch", inputs=["c"], outputs=[], else_branch=_layers(_add("x", "x", "t"), _copy("t", "y")))
    yield case("branch", "no-if", "C1", "ifBranch must have layers", net, c=np.array([0.0]))
    pair = np.array([1.0, 1.0])
    net = build.Network({"x": (3, 5), "c": (2,)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("branch", inputs=["c"], outputs=[], if_branch=_layers(_add("x", "x", "t"), _copy("t", "y")))
    yield case("branch", "two-numbers", "C2", "the condition must be a single number", net, c=pair)
    net = build.Network({"x": (3, 5), "n": (2,)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("loop", inputs=["n"], outputs=[], body_network=_layers(_add("x", "y", "t"), _copy("t", "y")))
    yield case("loop", "two-numbers", "C3", "the number of rounds must be a single number", net, n=pair)
    net = build.Network({"x": (3, 5)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("loop", inputs=[], outputs=[], max_loop_iterations=3)
    yield case("loop", "no-body", "C1", "bodyNetwork must have layers", net)
    # A blob of this name exists, but the condition network does not write it.
    net = build.Network({"x": (3, 5), "go": (1,)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    fields = {"condition_var": "go", "condition_network": _layers(_copy("go", "t"))}
    body = _layers(_add("y", "x", "sum"), _copy("sum", "y"))
    net.add("loop", inputs=[], outputs=[], max_loop_iterations=3, body_network=body, **fields)
    rule = "conditionNetwork must produce conditionVar"
    yield case("loop", "foreign-condition", "C1", rule, net, go=np.array([1.0]))
    net = build.Network({"x": (3, 5)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("loopContinue", inputs=[], outputs=[])
    yield case("loopContinue", "outside", "C1", "loopContinue must be inside of a loop", net)


def _branches() -> Iterator[Plan]:
    conditions = {"true": 1.0, "false": 0.0, "negative": -2.0, "tiny": 5e-7, "small": 2e-6}
    for label, value in conditions.items():
        name = f"branch/{label}"
        net = build.Network({"c": (1,), "x": (3, 5)}, ["y"], exact=True)
        net.add(
            "branch",
            inputs=["c"],
            outputs=[],
            if_branch=_layers(("multiply", ["x"], ["y"], {"alpha": 2})),
            else_branch=_layers(("add", ["x"], ["y"], {"alpha": 1})),
        )
        yield network(name, _FAMILY, net, {"c": np.array([value]), "x": draw(Source(name), "integers", (3, 5))})
    name = "branch/no-else"
    net = build.Network({"c": (1,), "x": (3, 5)}, ["y"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add(
        "branch", inputs=["c"], outputs=[], if_branch=_layers(("multiply", ["x"], ["t"], {"alpha": 2}), _copy("t", "y"))
    )
    for value in (0.0, 1.0):
        yield network(
            f"{name}-{value:g}", _FAMILY, net, {"c": np.array([value]), "x": draw(Source(name), "integers", (3, 5))}
        )


def _loops() -> Iterator[Plan]:
    x = draw(Source("loop"), "integers", (3, 5))
    body = [_add("y", "x", "sum"), _copy("sum", "y")]

    def started(*inputs: str, outputs: Sequence[str] = ("y",)) -> build.Network:
        net = build.Network({"x": (3, 5), **dict.fromkeys(inputs, (1,))}, outputs, exact=True)
        net.add("copy", inputs=["x"], outputs=["y"])
        return net

    # i counts the rounds.
    counting = [_number("one", 1), _add("i", "one", "next"), _copy("next", "i")]

    def conditional(kind: str, inputs: list[str], variable: str, *more: str, **fields: Any) -> build.Network:
        """Return a loop while a layer gives a number that is not 0."""
        net = started("n", outputs=("y", *more))
        net.add("fillStatic", inputs=[], outputs=["i"], value=0, target_shape=[1])
        condition = _layers((kind, inputs, [variable], {}))
        fields |= {"condition_var": variable, "condition_network": condition}
        net.add("loop", inputs=[], outputs=[], body_network=_layers(*body, *counting), **fields)
        return net

    net = started()
    net.add("loop", inputs=[], outputs=[], max_loop_iterations=5, body_network=_layers(*body))
    yield network("loop/count", _FAMILY, net, {"x": x})

    net = started("n")
    net.add("loop", inputs=["n"], outputs=[], max_loop_iterations=9, body_network=_layers(*body))
    for count in (0, 1, 4):
        yield network(f"loop/count-as-input-{count}", _FAMILY, net, {"x": x, "n": np.array([count])})

    net = conditional("lessThan", ["i", "n"], "go")
    for count in (0, 3):
        yield network(f"loop/condition-{count}", _FAMILY, net, {"x": x, "n": np.array([count])})
    both = conditional("lessThan", ["i", "n"], "go", max_loop_iterations=2)
    # What is left when the body has run for the last time shows that the condition was computed once more.
    left = conditional("subtractBroadcastable", ["n", "i"], "left", "left", max_loop_iterations=2)
    for label, net in {"condition-and-count": both, "condition-once-more": left}.items():
        yield network(f"loop/{label}", _FAMILY, net, {"x": x, "n": np.array([5])})

    for kind in ("loopBreak", "loopContinue"):
        for limit in (1, 3, 6, 9):
            net = started("n")
            net.add("fillStatic", inputs=[], outputs=["i"], value=0, target_shape=[1])
            leave = ("branch", ["late"], [], {"if_branch": _layers((kind, [], [], {}))})
            # One round that is left early, and others after it.
            net.add(
                "loop",
                inputs=[],
                outputs=[],
                max_loop_iterations=6,
                body_network=_layers(*counting, ("equal", ["i", "n"], ["late"], {}), leave, *body),
            )
            yield network(f"{kind}/round-{limit}", _FAMILY, net, {"x": x, "n": np.array([limit])})
    inner = ("loop", [], [], {"max_loop_iterations": 4, "body_network": _layers(*body, ("loopBreak", [], [], {}))})
    net = started()
    net.add("loop", inputs=[], outputs=[], max_loop_iterations=3, body_network=_layers(inner))
    yield network("loopBreak/innermost", _FAMILY, net, {"x": x})

    net = build.Network({"x": (3, 5)}, ["y", "z"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("add", inputs=["y"], outputs=["z"], alpha=1)
    net.add("multiply", inputs=["z"], outputs=["t"], alpha=3)
    net.add("copy", inputs=["t"], outputs=["y"])
    yield network("copy/over", _FAMILY, net, {"x": x})

    # y is written again with another shape, while z keeps what y held before.
    net = build.Network({"x": (3, 5)}, ["y", "z"], exact=True)
    net.add("copy", inputs=["x"], outputs=["y"])
    net.add("copy", inputs=["y"], outputs=["z"])
    net.add("transpose", inputs=["y"], outputs=["t"], axes=[1, 0])
    net.add("copy", inputs=["t"], outputs=["y"])
    yield network("copy/another-shape", _FAMILY, net, {"x": x})

    growing = _layers(("concatND", ["y", "x"], ["longer"], {"axis": 0}), _copy("longer", "y"))
    net = started()
    net.add("loop", inputs=[], outputs=[], max_loop_iterations=3, body_network=growing)
    yield network("loop/growing", _FAMILY, net, {"x": x})
