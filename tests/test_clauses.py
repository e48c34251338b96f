"""docs/clauses and the tests match, the pages are current, and their examples run as they stand there."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from refcoreml.neuralnetwork.registry import LAYERS

ROOT = Path(__file__).resolve().parents[1]


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


specification, figures = _load("specification"), _load("figures")
KNOWN, PROGRAMS = specification.layers(), specification.operations()
EXAMPLES = {label: each for label, each in specification.all_clauses().items() if "example" in each.more}


def test_every_clause_has_a_test_and_every_label_a_clause_and_the_pages_are_what_the_generator_writes() -> None:
    carried = specification.labels_in_tests()  # takes long
    assert specification.mismatches(specification.all_clauses(), carried) == []
    assert specification.stale(specification.pages(KNOWN, carried, specification.labels_in_cases())) == []


def test_the_figures_are_what_the_layers_compute() -> None:
    assert figures.stale() == []
    shown = {KNOWN[kind].more["figure"] for kind in KNOWN if "figure" in KNOWN[kind].more}
    assert shown == {f"{name}.svg" for name in figures.FIGURES}


def test_every_layer_and_operation_has_clauses() -> None:
    assert set(KNOWN) == set(LAYERS)
    assert set(PROGRAMS) == set(specification.OPERATIONS)


RELU = """
C1 = "x is a float."
S1 = "max(x, 0)"
example = ""
prints = ""
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[pad]" + RELU, r"should have \['fill'\]"),
        ("[fill]" + RELU + "[pad]" + RELU + "[rolls]", r"not \['rolls'\]"),
        ("[pad]\n[fill]", "has no clause"),
        ('[pad]\nS1 = "y"\n[fill]', "has no example"),
        ('[pad]\nshapes = ""' + RELU + "[fill]", "unknown keys"),
        ("[pad]" + RELU + "[pad.U1]\n[fill]", "U1 needs"),
    ],
)
def test_files_of_operations_of_another_form_are_refused(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "padding.toml").write_text(text)
    monkeypatch.setattr(specification, "CLAUSES", tmp_path)
    monkeypatch.setattr(specification, "OPERATIONS", {name: specification.OPERATIONS[name] for name in ("pad", "fill")})
    monkeypatch.setattr(specification, "family_of", lambda adapt: "padding")
    with pytest.raises(ValueError, match=problem):
        specification.operations()


def test_an_operation_that_is_refused_needs_no_example() -> None:
    specification.check_operation("conv_quantized", specification.Layer("convolution", {"C1": "It is refused."}))


def _table(name: str, example: str, **more: Any) -> dict[str, dict[str, tuple[str, str | None]]]:
    operation = specification.Layer("family", {"S1": ""}, {"example": example, **more})
    found = specification.signatures(name, operation)
    return {since: {key: (each.form, each.absent) for key, each in table.items()} for since, table in found.items()}


def test_types_and_defaults_are_found_by_trying() -> None:
    x = 'program = build.Program({"x": (2, 3), "y": ("int32", (2,))}); x, y = program["x"], program["y"]\n'
    floats = "fp16, fp32"
    assert _table("leaky_relu", x + 'program.add("leaky_relu", x=x, alpha=0.5)') == {
        "CoreML5": {"x": (floats, None), "alpha": ("constant, as `x`", None), "result": ("as `x`", None)},
        "CoreML7": {"x": (floats, None), "alpha": (f"constant {floats}", None), "result": ("as `x`", None)},
    }
    old = {
        "x": ("fp16, fp32, int32", None),
        "axis": ("constant integer", "-1"),
        "keep_dims": ("constant bool", "false"),
        "result": ("int32", None),
    }
    added = {"output_dtype": ("one of `int32`, `uint16`", "`int32`")}
    assert _table("reduce_argmax", x + 'program.add("reduce_argmax", x=x)') == {"CoreML5": old, "CoreML7": old | added}
    assert _table("gather", x + 'program.add("gather", x=x, indices=y, axis=1)')["CoreML6"] == {
        "x": ("fp16, fp32, int32", None),
        "indices": ("int32, int16, uint16", None),
        "axis": ("constant integer", "0"),
        "batch_dims": ("constant integer", "0"),
        "result": ("as `x`", None),
    }
    # What trying does not show is said.
    table = _table("reduce_sum", x + 'program.add("reduce_sum", x=x)', defaults={"axes": "all"}, results="one number")
    assert table["CoreML5"]["axes"] == ("constant integers", "all")
    assert table["CoreML5"]["result"] == ("one number", None)


def test_an_example_that_shows_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="no call that is valid in CoreML5"):
        _table("relu", "")
    with pytest.raises(ValueError, match="nothing shows what bias may be"):
        _table("conv", 'p = build.Program({"x": (1, 2, 4)}); p.add("conv", x=p["x"], weight=np.ones((1, 2, 3), "f4"))')


def test_a_page_lists_the_open_points_about_its_operation() -> None:
    points = specification.Layer("programs", {"U1": {"about": "cast of int32"}, "U2": {"about": "cast_7, pad"}})
    assert [label for label, _ in specification.about("cast", points)] == ["U1"]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_example_prints_what_its_page_says(kind: str) -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(specification.IMPORTS + EXAMPLES[kind].more["example"], {})
    assert printed.getvalue().split() == EXAMPLES[kind].more["prints"].split()


def test_what_does_not_match_is_found() -> None:
    known = {"softmax": specification.Layer("normalization", {"C1": "", "S1": ""})}
    carried = {"softmax.S1": ["a.py::test_a"], "softmax.S2": ["b.py::test_b"]}
    assert specification.mismatches(known, carried) == [
        "no test carries the clause softmax.C1",
        "b.py::test_b: there is no clause softmax.S2",
    ]


def test_labels_are_read_from_cases(tmp_path: Path) -> None:
    for case, labels in {"a/one/wide": ["a.S1"], "a/one/plain": ["a.S1", "a.S2"], "b/two/plain": ["a.S1"]}.items():
        (tmp_path / case).mkdir(parents=True)
        (tmp_path / case / "case.json").write_text(json.dumps({"clauses": labels}))
    assert specification.labels_in_cases(tmp_path) == {"a.S1": ["a/one", "b/two"], "a.S2": ["a/one"]}


def test_labels_are_read_from_decorators_and_their_cases(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.clause('a.S1'))])\n"
        "@pytest.mark.clause('a.C1', 'a.C2')\n"
        "def test_a(x): ...\n"
    )
    tests = ["test_a.py::test_a"]
    assert specification.labels_in_tests(tmp_path) == {"a.S1": tests, "a.C1": tests, "a.C2": tests}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@pytest.mark.clause(label)\ndef test_a(): ...", "literal"),
        ("@pytest.mark.clause('a.S1')\ndef helper(): ...", "decorators of tests"),
        ("cases = [pytest.param(1, marks=pytest.mark.clause('a.S1'))]", "decorators of tests"),
    ],
)
def test_labels_that_no_test_would_carry_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(text)
    with pytest.raises(ValueError, match=problem):
        specification.labels_in_tests(tmp_path)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"S2": " "}, "S2 should be text"),
        ({"U1": {"text": "?"}}, "U1 needs"),
        ({"C1": "last"}, "order"),
        ({"colour": "blue"}, "unknown keys"),
        ({"U1": {"text": "", "chosen": "", "evidence": "", "confidence": "certain"}}, "confidence is one of"),
    ],
)
def test_tables_of_another_form_are_refused(more: dict[str, Any], problem: str) -> None:
    clauses = {"S1": "y = x"} | {key: value for key, value in more.items() if key[0] in "CSU"}
    rest = {"example": "", "prints": ""} | {key: value for key, value in more.items() if key[0] not in "CSU"}
    with pytest.raises(ValueError, match=problem):
        specification.check_form("flatten", specification.Layer("shape", clauses, rest))


# ---- coremltools ----

#: What integers, booleans and texts are called there.
KINDS = {"integer": "int32", "integers": "int32", "bool": "bool", "bools": "bool", "text": "string"}

#: By operation and parameter why it differs from that of coremltools.
DIFFERENT: dict[tuple[str, str], str] = {
    ("make_list", "elem_shape"): "the documentation says what its absence means",
    ("topk", "k"): "a clause says since when it may be of 8 and 16 bits",
    ("linear", "x"): "programs.U35",
    ("linear", "weight"): "programs.U35",
    ("linear", "bias"): "programs.U35",
    ("crop_resize", "spatial_scale"): "programs.U50",
    ("constexpr_affine_dequantize", "zero_point"): "programs.U55",
}


def _elements(table: dict[str, Any], form: str) -> set[str]:
    """Return the types that a form in a table of parameters stands for."""
    form = form.removeprefix("constant, ").removeprefix("constant ")
    if form.startswith("as `"):
        return _elements(table, table[form.split("`")[1]].form)
    return {"string"} if form.startswith("one of") else set(KINDS.get(form, form).split(", "))


def _theirs(parameter: Any, domains: dict[str, Any]) -> set[str]:
    """Return the types that coremltools gives a parameter; none for what is no tensor, or any."""
    from coremltools.converters.mil.mil.types import builtin_to_string

    found = getattr(parameter, "_type_domain", ()) or domains.get(getattr(parameter, "_type_domain_id", None), ())
    return {builtin_to_string(each) for each in found}


@pytest.mark.parametrize("name", PROGRAMS)
def test_parameters_are_those_of_coremltools(name: str) -> None:
    ops = pytest.importorskip("coremltools.converters.mil.mil.ops.registry", reason="coremltools has the names")
    operation = PROGRAMS[name]
    classes = {target.name: each for target, each in ops.SSAOpRegistry.core_ops.get(name, {}).items()}
    for since, table in specification.signatures(name, operation).items() if classes else ():
        there = classes.get(specification.OPSETS[since]) or next(iter(classes.values()))
        given = {key: each for key, each in there.input_spec.input_types.items() if not key.startswith("_")}
        assert set(given) == set(table) - {"result"}
        for key, parameter in given.items():
            place = f"{name} since {since}, {key}"
            theirs = _theirs(parameter, getattr(there, "type_domains", {}))
            if (name, key) in DIFFERENT:
                continue
            if theirs:
                assert _elements(table, table[key].form) == theirs, place
            assert parameter.optional == (table[key].absent is not None), place
