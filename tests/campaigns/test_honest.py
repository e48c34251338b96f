"""The study of likely bounds: its implementations compute the same in other ways, and it counts what is outside."""

from __future__ import annotations

import numpy as np
import pytest

from campaigns.honest import Record, Row, judged, main, study, tables
from campaigns.honest_networks import Case
from campaigns.honest_runs import IMPLEMENTATIONS
from refcoreml import build
from refcoreml.judge import likely_bounds

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def small():
    """A convolution with groups, stride and padding, a dense layer, a mean and a softmax."""
    net = build.Network({"x": (4, 9, 8)}, ["y"])
    fields = {"output_channels": 6, "kernel_channels": 2, "n_groups": 2, "kernel_size": [3, 2], "stride": [2, 1]}
    net.add("convolution", inputs=["x"], outputs="c", weights=numbers(6, 2, 3, 2), same={}, **fields)
    sizes = {"input_channels": 6, "output_channels": 5}
    net.add("pooling", inputs=["c"], outputs="p", type="AVERAGE", globalPooling=True, valid={})
    net.add("innerProduct", inputs=["p"], outputs="d", weights=numbers(5, 6), **sizes)
    net.add("softmax", inputs=["d"], outputs="y")
    return net.model()


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_implementations_compute_the_same_in_their_own_way(name):
    model, x = small(), {"x": numbers(4, 9, 8)}
    kernels, found = (list(IMPLEMENTATIONS[each].trace(model, x, "fp32")) for each in ("kernels", name))
    same = []
    for event, other in zip(kernels, found, strict=True):
        np.testing.assert_allclose(other.outputs[0], event.outputs[0], rtol=1e-4, atol=1e-6)
        same.append(bool((other.outputs[0] == event.outputs[0]).all()))
    assert all(same) == (name in ("kernels", "fused"))


def test_half_precision_is_rounded_everywhere_or_half_of_the_time():
    model, x = small(), {"x": numbers(4, 9, 8)}
    for name, expected in (("kernels", 0), ("fused", 2)):
        events = IMPLEMENTATIONS[name].trace(model, x, "fp16/acc32")
        wide = [event.step.index for event in events if (event.outputs[0] != event.outputs[0].astype(np.float16)).any()]
        assert len(wide) == expected


def test_honest_values_are_counted_as_such():
    case = Case("small", small(), lambda rng: {"x": rng.normal(size=(4, 9, 8))}, ("fp32", "fp16/acc32"))
    for profile in case.profiles:
        row = Row("small", profile)
        study(case, row, 3, ["kernels", "forward", "fused"])
        assert (row.judged, row.alarms) == (12, 0)
        assert 1 < row.ratio < 200


def test_what_is_outside_is_counted():
    model, x = small(), {"x": numbers(4, 9, 8)}
    bound = likely_bounds(model, x)["y"]
    row = Row("small", "fp32")
    row.judge("y", bound, bound.value + 1.5 * bound.radius, "wrong")
    assert row.alarms == 1
    assert "5 of 5, 1.50 bounds off" in row.found[0]


def test_a_model_over_its_budget_is_left_and_said_so():
    case = Case("small", small(), lambda rng: {"x": rng.normal(size=(4, 9, 8))}, ("fp32",))
    row = judged("written", 0, case, "fp32", 3, ["kernels"], 0.0)
    assert (row.inputs, row.judged, row.outputs, row.problem) == (0, 0, 0, "more than 0 s")
    row = judged("written", 0, case, "fp32", 3, ["kernels", "forward"], 60.0)
    assert (row.inputs, row.judged, row.outputs, row.problem) == (3, 24, 6, "")


def test_a_study_goes_on_from_its_record(tmp_path, capsys):
    path = tmp_path / "study.jsonl"
    command = [*("--sources", "written", "--only", "3 dense", "--inputs", "1", "--implementations", "kernels")]
    assert main([*command, "--record", str(path)]) == 0
    whole = path.read_text()
    assert whole.count("\n") == 3  # settings, and two profiles
    path.write_text(whole[: whole.rindex("}")])  # the last line was cut off
    assert main([*command, "--record", str(path)]) == 0
    again = path.read_text()
    without = [[line.split('"seconds"')[0] for line in text.splitlines()] for text in (whole, again)]
    assert without[0] == without[1]
    assert again.splitlines()[:2] == whole.splitlines()[:2]  # not judged again
    capsys.readouterr()
    assert main([*command, "--record", str(path), "--hours", "0"]) == 0
    assert capsys.readouterr().out.count("| 3 dense, sigmoid |") == 2
    assert path.read_text() == again
    with pytest.raises(SystemExit, match="is a record of"):
        main([*command, "--budget", "5", "--record", str(path)])


def test_tables_count_by_source_and_profile():
    rows = [
        Row("a", "fp32", "written", judged=7, outputs=2, bound=[5.0], error=[1.0]),
        Row("b", "fp32", "written", judged=4, outputs=1, alarms=1, bound=[62.0], error=[2.0], problem="more than 5 s"),
        Row("c", "declared", "folder", judged=3, outputs=3),
    ]
    found = list(tables(rows))
    assert found[2:5] == [
        "| written | fp32 | 11 | 3 | 1 | 18.0 | 1 of 2 | 1 |",
        "| folder | declared | 3 | 3 | 0 |  | 0 of 0 | 0 |",
        "| all | | 14 | 6 | 1 | 18.0 | 1 of 2 | 1 |",
    ]
    assert found[-1] == "\nAbove 30: b in fp32 (31)"
    assert Record(None, {}).rows == {}
