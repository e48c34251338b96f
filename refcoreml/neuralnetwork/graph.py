"""The graph of a network before anything is prepared: its nodes, and the rules that their names must keep."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from refcoreml.custom import layer_lines, what_to_write
from refcoreml.errors import InvalidModelError, UnsupportedModelError
from refcoreml.execution.steps import changed
from refcoreml.neuralnetwork.registry import LAYERS, Node
from refcoreml.problems import RAISED, Problems
from refcoreml.spec import schema
from refcoreml.spec.enums import undefined_enum

#: A layer: its message, or its node.
Layer = TypeVar("Layer", schema.NeuralNetworkLayer, Node)

#: How deep branches and loops may lie within one another. (Protobuf itself reads files to a depth of about 30.)
DEEPEST_NESTING = 24

#: The layers that hold networks.
_WITH_NETWORKS = ("branch", "loop")


def checked_nodes(
    layers: Sequence[schema.NeuralNetworkLayer],
    where: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    runnable: bool = True,
    problems: Problems = RAISED,
    **options: Any,
) -> list[Node]:
    """Return the nodes of a network whose graph keeps the rules. Whatever prepares layers starts from these.

    Args:
        layers: the messages.
        where: the network's place in the model.
        inputs, outputs: names of the blobs that it is given and that it is to make.
        runnable: whether every layer must have code; otherwise only the graph is checked.
        problems: where checks report; nodes that cannot be prepared are not `sound` there.
        options: what else each `Node` is to know.

    Raises:
        UnsupportedModelError: a layer has no code, see `check_supported`.
        InvalidModelError: a layer without a type, too deep nesting, or a broken rule of `check_graph`.
    """
    nodes = make_nodes(layers, where, problems=problems, **options)
    if runnable:
        check_supported(nodes, problems)
    check_graph(nodes, inputs, outputs, where, problems)
    return nodes


def make_nodes(
    layers: Sequence[schema.NeuralNetworkLayer],
    where: str,
    depth: int = 0,
    problems: Problems = RAISED,
    **options: Any,
) -> list[Node]:
    """Return the nodes of a network and, in their ``bodies``, those of the networks inside its branches and loops.

    Args:
        layers: the messages.
        where: the network's place in the model.
        depth: how many branches and loops are around it.
        problems: where checks report.
        options: what else each `Node` is to know.
    """
    if depth > DEEPEST_NESTING:
        raise InvalidModelError(f"branches and loops lie more than {DEEPEST_NESTING} deep in one another", where=where)
    blank = Node(schema.NeuralNetworkLayer(), "", where, (), (), **options)
    nodes = []
    for index, spec in enumerate(layers):
        kind = spec.WhichOneof("layer") or ""
        inside = f"{where}.layers[{index}]"
        place = f"{inside} {spec.name!r} ({kind})" if kind else f"{inside} {spec.name!r}"
        if problem := _type_problem(spec, kind):
            with problems.part("layer.type", place):
                raise InvalidModelError(problem)
        bodies: dict[str, Sequence[Node]] = {}
        if kind in _WITH_NETWORKS:
            for field, inner in inner_networks(spec):
                with problems.part("graph.nesting", place):
                    bodies[field] = make_nodes(inner, f"{inside}.{field}", depth + 1, problems, **options)
        inputs, outputs = tuple(spec.input), tuple(spec.output)
        nodes.append(changed(blank, spec=spec, kind=kind, where=place, inputs=inputs, outputs=outputs, bodies=bodies))
    return nodes


def _type_problem(spec: schema.NeuralNetworkLayer, kind: str) -> str:
    if not kind:
        return "the layer has no type, or one newer than specification version 10"
    return undefined_enum(getattr(spec, kind))


def inner_networks(spec: schema.NeuralNetworkLayer) -> Iterator[tuple[str, Sequence[schema.NeuralNetworkLayer]]]:
    """Yield the networks inside a branch or loop, by the name of their field; empty ones are left out."""
    kind = spec.WhichOneof("layer")
    if kind in _WITH_NETWORKS:
        for field, value in getattr(spec, kind).ListFields():
            if field.message_type is not None and value.layers:
                yield field.name, value.layers


def walk_layers(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield all layers, as messages or as nodes, each before those in the networks inside it, at any depth."""
    waiting = list(layers)[::-1]
    while waiting:
        layer = waiting.pop()
        yield layer
        inner = layer.bodies if isinstance(layer, Node) else dict(inner_networks(layer))
        if inner:
            waiting.extend([part for body in inner.values() for part in body][::-1])


def check_supported(nodes: Sequence[Node], problems: Problems = RAISED) -> None:
    """Raise `UnsupportedModelError` that names every layer without an implementation, and tells what to write."""
    everything = list(walk_layers(nodes))
    missing = [node for node in everything if node.kind and node.kind not in LAYERS]
    without_code = []
    for node in everything:
        if node.kind == "custom":
            with problems.part("layer.code", node.where):
                if _lacks_code(node):
                    without_code.append(node)
    if missing or without_code:
        problems.skip(node.where for node in (*missing, *without_code))
        with problems.part("layer.code"):
            _refuse(everything, missing, without_code)


def _refuse(everything: Sequence[Node], missing: Sequence[Node], without_code: Sequence[Node]) -> NoReturn:
    kinds = Counter(node.kind for node in missing)
    parts = [f"{kind} ({count} x)" for kind, count in sorted(kinds.items())]
    wanted: dict[str, list[Node]] = {}
    for node in without_code:
        wanted.setdefault(node.params.className, []).append(node)
    parts += [f"custom layer of class {name!r} ({len(wanted[name])} x)" for name in sorted(wanted)]
    verb = "cannot be run yet" if missing else "need code that is not registered"
    raise UnsupportedModelError(
        f"{len(missing) + len(without_code)} of {len(everything)} layers {verb}: {', '.join(parts)}",
        where=(missing or without_code)[0].where,
        remedy=what_to_write(
            (layer_lines(nodes[0].params, nodes[0].inputs, nodes[0].outputs) for nodes in wanted.values()), len(wanted)
        ),
    )


def _lacks_code(node: Node) -> bool:
    node.require(bool(node.params.className), "has no className, so that nobody can know what to compute")
    return node.params.className not in node.custom_layers


#: Blobs that exist, with their producers. Each branch and each loop has a map of its own for those that it adds.
_Produced = ChainMap[str, str]


def check_graph(
    nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str], where: str, problems: Problems = RAISED
) -> None:
    """Check counts and names: a blob exists before it is used, only ``copy`` writes one again, outputs exist."""
    produced: _Produced = ChainMap(dict.fromkeys(inputs, "the model's inputs"))
    _check_body(nodes, produced, problems, in_loop=False)
    for name in outputs:
        if name not in produced:
            with problems.part("graph.outputs"):
                problem = f"no layer produces {name!r}, which the model declares as an output"
                raise InvalidModelError(problem, where=where)


def _check_body(nodes: Sequence[Node], produced: _Produced, problems: Problems, *, in_loop: bool) -> None:
    """Check a network whose surroundings have produced some blobs; adds its own, with their producers."""
    later = {name: node.where for node in nodes for name in node.outputs}
    # A dictionary is faster than a chain of one, where it is one.
    known: Mapping[str, str] = produced.maps[0] if len(produced.maps) == 1 else produced
    for node in nodes:
        if problem := _count_problem(node):
            with problems.part("graph.counts", node.where):
                node.invalid(problem)
        elif node.kind in ("loopBreak", "loopContinue"):
            with problems.part("graph.loops", node.where):
                node.require(in_loop, "must be inside the body of a loop")
        elif problem := _name_problem(node, known, later):
            with problems.part("graph.names"):
                node.invalid(problem)
        produced.maps[0].update(dict.fromkeys(node.outputs, node.where))
        if node.kind == "branch":
            _check_branch(node, produced, problems, in_loop)
        elif node.kind == "loop":
            _check_loop(node, produced, problems)


def _name_problem(node: Node, produced: Mapping[str, str], later: Mapping[str, str]) -> str:
    for name in node.inputs:
        if name not in produced:
            if name in later:
                return f"uses blob {name!r} before it exists; {later[name]} produces it later: a cycle or a wrong order"
            return f"uses blob {name!r}, which neither the model's inputs nor any layer produce"
    made = set[str]()
    for name in node.outputs:
        if node.kind != "copy" and (name in produced or name in made):
            return f"produces blob {name!r} a second time, after {produced.get(name, node.where)}"
        made.add(name)
    return ""


def _check_branch(node: Node, produced: _Produced, problems: Problems, in_loop: bool) -> None:
    """Add what exists after a branch: the blobs that both bodies produce."""
    one, other = produced.new_child(), produced.new_child()
    _check_body(node.bodies.get("ifBranch", ()), one, problems, in_loop=in_loop)
    _check_body(node.bodies.get("elseBranch", ()), other, problems, in_loop=in_loop)
    made = {**other.maps[0], **one.maps[0]}
    produced.update({name: place for name, place in made.items() if name in one and name in other})


def _check_loop(node: Node, produced: _Produced, problems: Problems) -> None:
    """Add what exists after a loop: the blobs of its condition, or, if it has none, of its body."""
    condition = produced.new_child()
    _check_body(node.bodies.get("conditionNetwork", ()), condition, problems, in_loop=False)
    variable = node.params.conditionVar
    if "conditionNetwork" in node.bodies:
        with problems.part("graph.names"):
            made = variable in condition.maps[0]  # written anew, if it exists around the loop
            node.require(made, f"its condition network does not produce conditionVar {variable!r}")
    body = condition.new_child()
    _check_body(node.bodies.get("bodyNetwork", ()), body, problems, in_loop=True)
    produced.update(condition.maps[0] if "conditionNetwork" in node.bodies else body.maps[0])


def _count_problem(node: Node) -> str:
    entry = LAYERS.get(node.kind)
    if entry is None:  # which is a problem of its own
        return ""
    return _range_problem("input", len(node.inputs), *entry.inputs) or _range_problem(
        "output", len(node.outputs), *entry.outputs
    )


def _range_problem(noun: str, count: int, least: int, most: int | None) -> str:
    if least <= count and (most is None or count <= most):
        return ""
    bound = str(least) if least == most else f"{least} to {most}" if most is not None else f"at least {least}"
    return f"has {count} {noun}s, expected {bound}"
