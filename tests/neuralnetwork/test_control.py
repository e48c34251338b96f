"""copy, branch, loop, loopBreak, loopContinue."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, MalformedModelError, RefCoreMLError
from refcoreml.execution import control
from refcoreml.neuralnetwork.network import Network
from refcoreml.spec import schema
from refcoreml.spec.files import parse_model


def body(*layers):
    """A NeuralNetwork of layers given as (kind, inputs, outputs, fields)."""
    net = build.Network({}, [])
    for number, (kind, inputs, outputs, fields) in enumerate(layers):
        net.add(kind, name=f"{kind}_{number}", inputs=inputs, outputs=outputs, **fields)
    return schema.NeuralNetwork(layers=net.layers)


def network(*layers, inputs=("x",), outputs=("y",), **options):
    return Network(body(*layers).layers, inputs=inputs, outputs=outputs, rank5=False, **options)


def linear(x, y, alpha, beta):
    return ("activation", [x], [y], {"linear": {"alpha": alpha, "beta": beta}})


def copy(x, y):
    return ("copy", [x], [y], {})


def clip(x, y):
    """1 where x >= 1, 0 where x <= 0."""
    return ("activation", [x], [y], {"sigmoidHard": {"alpha": 1.0, "beta": 0.0}})


def branch(condition, then, otherwise=()):
    fields = {"ifBranch": body(*then)} | ({"elseBranch": body(*otherwise)} if otherwise else {})
    return ("branch", [condition], [], fields)


def loop(body_layers, condition=(), variable="", most=0, count=None):
    fields = {"bodyNetwork": body(*body_layers), "maxLoopIterations": most, "conditionVar": variable}
    if condition:
        fields["conditionNetwork"] = body(*condition)
    return ("loop", [] if count is None else [count], [], fields)


BREAK, CONTINUE = ("loopBreak", [], [], {}), ("loopContinue", [], [], {})


def run(net, **blobs):
    result = net.run({name: np.atleast_1d(np.asarray(value, np.float32)) for name, value in blobs.items()})
    return {name: blob.tolist() for name, blob in result.items()}


@pytest.mark.parametrize(
    ("condition", "expected"), [(1.0, 20), (-1.0, 20), (2e-6, 20), (1e-6, 3), (-5e-7, 3), (0.0, 3), (np.inf, 20)]
)
@pytest.mark.clause("branch.S1")
def test_branch_chooses_by_distance_from_zero(condition, expected):
    net = network(branch("c", [linear("x", "y", 10, 0)], [linear("x", "y", 1, 1)]), inputs=("c", "x"))
    assert run(net, c=condition, x=2) == {"y": [expected]}


@pytest.mark.clause("branch.S2")
def test_a_branch_without_else_changes_what_exists():
    net = network(copy("x", "y"), branch("c", [linear("x", "z", 10, 0), copy("z", "y")]), inputs=("c", "x"))
    assert run(net, c=1, x=2) == {"y": [20]}
    assert run(net, c=0, x=2) == {"y": [2]}


@pytest.mark.clause("loop.S1")
def test_a_loop_runs_as_often_as_it_says():
    layers = [copy("x", "y"), loop([linear("y", "t", 2, 1), copy("t", "y")], most=5)]
    assert run(network(*layers), x=1) == {"y": [63]}


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (1, 3), (2.9, 7), (-4, 1)])
@pytest.mark.clause("loop.S1", "loop.U1")
def test_a_loop_may_be_told_how_often(count, expected):
    layers = [copy("x", "y"), loop([linear("y", "t", 2, 1), copy("t", "y")], most=9, count="n")]
    assert run(network(*layers, inputs=("x", "n")), x=1, n=count) == {"y": [expected]}


def doubling(most=0, count=None):
    """Doubles y while y < 100."""
    return [
        copy("x", "y"),
        loop(
            [linear("y", "t", 2, 0), copy("t", "y")],
            condition=[linear("y", "d", -1, 100), clip("d", "go")],
            variable="go",
            most=most,
            count=count,
        ),
    ]


@pytest.mark.parametrize(
    ("x", "most", "expected"), [(1, 0, 128), (1, 3, 8), (1, 50, 128), (100, 0, 100), (99.5, 0, 199)]
)
@pytest.mark.clause("loop.S2")
def test_a_loop_ends_by_condition_or_count(x, most, expected):
    assert run(network(*doubling(most)), x=x) == {"y": [expected]}


@pytest.mark.parametrize(("most", "runs"), [(0, 8), (3, 4), (7, 8), (9, 8)])
@pytest.mark.clause("loop.S2")
def test_a_condition_is_computed_once_more_than_the_body(most, runs):
    seen = []
    net = network(*doubling(most), outputs=("y", "d"))
    result = net.run({"x": np.ones(1, np.float32)}, lambda step, inputs, outputs: seen.append(step.outputs[0]))
    assert seen.count("d") == runs  # y is 128 after 7 rounds
    assert result["d"].item() == 100 - result["y"].item()


@pytest.mark.parametrize(("remaining", "rounds"), [(2e-6, 1), (5e-7, 0), (-5e-7, 0), (-2e-6, 1)])
@pytest.mark.clause("loop.U2")
def test_a_condition_close_to_zero_ends_a_loop(remaining, rounds):
    once = loop([linear("y", "t", 1, 1), copy("t", "y")], condition=[copy("x", "go")], variable="go", most=1)
    assert run(network(linear("x", "zero", 0, 0), copy("zero", "y"), once), x=remaining) == {"y": [rounds]}


@pytest.mark.parametrize(("value", "error"), [(np.nan, InputError), ([1, 2], InvalidModelError)])
@pytest.mark.clause("loop.C3", "loop.U1", "loop.U2")
def test_a_count_and_a_condition_must_be_one_number(value, error):
    counted = network(copy("x", "y"), loop([copy("x", "y")], most=3, count="n"), inputs=("x", "n"))
    with pytest.raises(error, match=r"loop_1.*blob 'n' must be a single number, got"):
        run(counted, x=1, n=value)
    conditional = network(loop([copy("x", "y")], condition=[copy("x", "go")], variable="go"), outputs=("go",))
    with pytest.raises(error, match=r"loop_0.*blob 'go' must be a single number, got"):
        run(conditional, x=value)


@pytest.mark.clause("loop.U3")
def test_of_a_loop_with_a_condition_only_the_condition_is_visible_afterwards():
    conditional = loop([copy("x", "y")], condition=[copy("x", "go")], variable="go", most=1)
    assert run(network(conditional, outputs=("go",)), x=1) == {"go": [1]}
    with pytest.raises(InvalidModelError, match="no layer produces 'y'"):
        network(conditional)


@pytest.mark.clause("loop.S2")
def test_a_condition_and_an_input_of_zero_rounds():
    assert run(network(*doubling(count="n"), inputs=("x", "n")), x=1, n=0) == {"y": [1]}
    assert run(network(*doubling(count="n"), inputs=("x", "n")), x=1, n=2) == {"y": [4]}


@pytest.mark.clause("loopBreak.S1")
def test_break_leaves_the_innermost_loop():
    inner = loop(
        [linear("y", "t", 1, 1), copy("t", "y"), linear("y", "d", 1, -3), clip("d", "big"), branch("big", [BREAK])],
        most=10,
    )
    net = network(copy("x", "y"), loop([inner, linear("y", "u", 1, 100), copy("u", "y")], most=2))
    # Round 1: 0, 1, 2, 3, 4 and out, + 100; round 2: one more and out, + 100.
    assert run(net, x=0) == {"y": [205]}


@pytest.mark.clause("loopContinue.S1")
def test_continue_skips_the_rest_of_a_round():
    layers = [
        copy("x", "y"),
        copy("x", "n"),
        loop(
            [
                linear("n", "m", 1, 1),
                copy("m", "n"),
                linear("n", "d", 1, -3),
                clip("d", "late"),
                branch("late", [CONTINUE]),
                linear("y", "t", 1, 10),
                copy("t", "y"),
            ],
            most=7,
        ),
    ]
    # n = 1, 2, 3 add 10; from 4 on the round is cut short.
    assert run(network(*layers, outputs=("y", "n")), x=0) == {"y": [30], "n": [7]}


@pytest.mark.clause("copy.S2", "loop.S3")
def test_a_shape_may_change_from_round_to_round():
    layers = [copy("x", "y"), loop([("concatND", ["y", "x"], ["t"], {"axis": 0}), copy("t", "y")], most=4)]
    net = network(*layers)
    assert run(net, x=[1, 2, 3]) == {"y": [1, 2, 3] * 5}
    assert "y" not in net.shapes({"x": (3,)})


def test_shapes_that_stay_are_known():
    net = network(*doubling(), outputs=("y", "go"))
    assert net.shapes({"x": (1,)}) == dict.fromkeys(("x", "y", "t", "d", "go"), (1,))
    both = network(branch("x", [linear("x", "y", 1, 0)], [linear("x", "y", 2, 0)]))
    assert both.shapes({"x": (1,)})["y"] == (1,)


@pytest.mark.parametrize("leave", [BREAK, CONTINUE])
def test_shapes_that_stay_are_known_behind_rounds_that_may_be_left(leave):
    body = [linear("y", "t", 1, 1), copy("t", "y"), branch("c", [leave]), copy("x", "y"), copy("y", "u")]
    net = network(copy("x", "y"), loop(body, most=3), linear("y", "z", 2, 0), inputs=("x", "c"), outputs=("z",))
    assert net.shapes({"x": (3,), "c": (1,)}) == {"c": (1,), **dict.fromkeys("xytuz", (3,))}
    assert run(net, x=[1, 2, 3], c=1) == {"z": [4, 6, 8] if leave is BREAK else [8, 10, 12]}


@pytest.mark.parametrize("leave", [[BREAK], [CONTINUE], [branch("c", [BREAK])], [branch("c", [CONTINUE])]])
def test_shapes_that_differ_where_a_round_may_be_left_are_not_known(leave):
    """At its end the round makes y what it was."""
    body = [("concatND", ["y", "x"], ["t"], {"axis": 0}), copy("t", "y"), *leave, copy("x", "y")]
    net = network(copy("x", "y"), loop(body, most=2), linear("y", "z", 2, 0), inputs=("x", "c"), outputs=("z",))
    assert net.shapes({"x": (3,), "c": (1,)}).keys().isdisjoint("yz")
    rounds = 1 if leave[0] is BREAK or leave[0] == branch("c", [BREAK]) else 2
    assert run(net, x=[1, 2, 3], c=1) == {"z": [2, 4, 6] * (rounds + 1)}


def test_an_observer_sees_every_round():
    seen = []
    layers = [copy("x", "y"), loop([linear("y", "t", 2, 1), copy("t", "y")], most=3)]
    network(*layers).run({"x": np.ones(1, np.float32)}, lambda step, inputs, outputs: seen.append(step.kind))
    assert seen == ["copy"] + ["activation", "copy"] * 3


@pytest.mark.clause("copy.S1", "copy.S2")
def test_copies_do_not_share_what_is_written_later():
    net = network(
        copy("x", "a"), linear("a", "b", 2, 0), copy("b", "a"), ("add", ["a", "x"], ["y"], {}), outputs=("y", "b")
    )
    x = np.array([3.0], np.float32)
    assert {name: blob.tolist() for name, blob in net.run({"x": x}).items()} == {"y": [9], "b": [6]}
    assert x.tolist() == [3]


@pytest.mark.clause("loop.C2")
def test_a_loop_without_end_is_stopped(monkeypatch):
    assert control.LOOP_LIMIT == 100_000
    monkeypatch.setattr(control, "LOOP_LIMIT", 50)
    layers = [copy("x", "y"), loop([copy("x", "y")], condition=[copy("x", "go")], variable="go")]
    with pytest.raises(InputError, match=r"layers\[1\] 'loop_1' \(loop\): still runs after 50 rounds"):
        run(network(*layers), x=1)
    with pytest.raises(InputError, match="still runs after 50 rounds"):
        run(network(copy("x", "y"), loop([copy("x", "y")], most=10**12)), x=1)
    assert run(network(copy("x", "y"), loop([copy("x", "y")], most=50)), x=1) == {"y": [1]}


@pytest.mark.parametrize(("value", "error"), [(np.nan, InputError), ([1, 2], InvalidModelError)])
@pytest.mark.clause("branch.C2", "branch.U1")
def test_a_condition_must_be_one_number(value, error):
    net = network(branch("c", [linear("x", "y", 10, 0)], [linear("x", "y", 1, 1)]), inputs=("c", "x"))
    with pytest.raises(error, match=r"branch_0.*blob 'c' must be a single number, got"):
        run(net, c=value, x=2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([copy("x", "y"), branch("x", [])], "its ifBranch is empty"),
        ([copy("x", "y"), loop([], most=3)], "its bodyNetwork is empty"),
        ([loop([copy("x", "y")])], "nothing ends it"),
        ([loop([copy("x", "y")], variable="go", most=2)], "both or neither"),
        ([loop([copy("x", "y")], condition=[copy("x", "go")])], "does not produce conditionVar ''"),
        (
            [loop([copy("x", "y")], condition=[copy("x", "go")], variable="stop")],
            "does not produce conditionVar 'stop'",
        ),
        # Around the loop there is such a blob, but its own network does not write it.
        (
            [copy("x", "go"), loop([copy("x", "y")], condition=[copy("x", "z")], variable="go", most=2)],
            "does not produce conditionVar 'go'",
        ),
        ([BREAK], r"\(loopBreak\): must be inside the body of a loop"),
        ([CONTINUE], r"\(loopContinue\): must be inside the body of a loop"),
        ([loop([copy("x", "y")], condition=[copy("x", "go"), BREAK], variable="go")], "must be inside the body"),
        ([loop([copy("x", "y")], condition=[copy("x", "go"), CONTINUE], variable="go")], "must be inside the body"),
        (
            [loop([loop([copy("x", "y")], condition=[copy("x", "go"), BREAK], variable="go")], most=2)],
            "must be inside the body",
        ),
        ([copy("x", "y"), copy("x", "x")], "copies blob 'x' to itself"),
        ([branch("x", [copy("q", "y")])], r"layers\[0\].ifBranch.layers\[0\] 'copy_0' \(copy\): uses blob 'q'"),
        ([branch("x", [copy("x", "y")])], "no layer produces 'y'"),
        ([branch("x", [copy("x", "y")], [copy("x", "z")])], "no layer produces 'y'"),
        ([copy("x", "y"), branch("x", [linear("x", "y", 1, 1)])], r"produces blob 'y' a second time"),
        ([branch("x", [("custom", ["x"], ["y"], {"className": "Inner"})])], "custom layer of class 'Inner'"),
    ],
)
@pytest.mark.clause("copy.C1", "copy.S1", "branch.C1", "loop.C1", "loopBreak.C1", "loopContinue.C1")
def test_networks_that_break_a_rule_are_refused(layers, message):
    with pytest.raises(RefCoreMLError, match=message):
        network(*layers)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.clause("loop.C1")
def test_one_arm_of_a_branch_may_write_the_condition(turned):
    arms = [copy("x", "z")], [copy("x", "go")]
    condition = [branch("x", *(arms[::-1] if turned else arms))]
    rounds = loop([linear("y", "t", 1, 1), copy("t", "y")], condition=condition, variable="go", most=3)
    assert run(network(copy("x", "go"), copy("x", "y"), rounds), x=5) == {"y": [8]}


def nested(depth):
    inner = body(copy("x", "y"))
    for _ in range(depth):
        layer = schema.NeuralNetworkLayer(name="b", input=["x"])
        layer.branch.ifBranch.CopyFrom(inner)
        layer.branch.elseBranch.layers.add(name="c", input=["x"], output=["y"]).copy.SetInParent()
        inner = schema.NeuralNetwork(layers=[layer])
    return inner


def test_branches_may_be_nested():
    assert run(Network(nested(20).layers, inputs=["x"], outputs=["y"], rank5=False), x=3) == {"y": [3]}


@pytest.mark.clause("branch.C1")
def test_branches_too_deep_are_refused():
    with pytest.raises(InvalidModelError, match="more than 24 deep"):
        Network(nested(26).layers, inputs=["x"], outputs=["y"], rank5=False)


def test_a_file_with_branches_thousands_deep_is_refused():
    def wrapped(message, field, data):
        return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2) + _varint(len(data)) + data

    data = b""
    for _ in range(3000):
        data = wrapped(schema.BranchLayerParams, "ifBranch", data)
        data = wrapped(schema.NeuralNetworkLayer, "branch", data)
        data = wrapped(schema.NeuralNetwork, "layers", data)
    head = schema.Model(specificationVersion=4).SerializeToString()
    with pytest.raises(MalformedModelError, match="damaged"):
        parse_model(head + wrapped(schema.Model, "neuralNetwork", data))


@pytest.mark.clause("loop.S3")
def test_a_blob_of_a_loop_that_never_ran_does_not_exist():
    net = network(loop([copy("x", "y")], most=3, count="n"), inputs=("x", "n"))
    assert run(net, x=5, n=1) == {"y": [5]}
    with pytest.raises(InputError, match="value 'y' does not exist, because no round of its loop was run"):
        run(net, x=5, n=0)


def _varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.mark.clause("loop.U3")
def test_a_condition_that_no_round_of_a_loop_has_made():
    layers = [loop([copy("x", "go")], most=2, count="n"), branch("go", [copy("x", "y")], [copy("x", "y")])]
    net = network(*layers, inputs=("x", "n"))
    assert run(net, x=1, n=1) == {"y": [1]}
    with pytest.raises(InputError, match=r"branch_1.*value 'go' does not exist, because no round of its loop was run"):
        run(net, x=1, n=0)
