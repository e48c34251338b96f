"""Writes specification/: a page for each layer and operation, from docstrings, the schema, and clauses/*.toml.

    python docs/specification.py             # writes docs/specification/*.md and docs/specification/programs/*.md
    python docs/specification.py --check     # fails if that would change them, or if clauses and tests do not match

clauses/<family>.toml has a table for each layer of refcoreml/neuralnetwork/layers/<family>.py, named as in the schema:

    [softmax]
    C1 = "A constraint: what makes a model or an input invalid, and how that is reported."
    S1 = "What the layer computes."
    example = '''code, after `import numpy as np` and `from refcoreml import build`'''
    prints = '''what it prints; spaces do not matter'''
    # Optional: what the docstring does not say of shapes; what a field that is unset stands for, if not for its zero;
    # other docstrings that belong to the page; a picture in specification/figures, and what it shows.
    shapes = "Input: x [*D]. Output: the shape of x."
    defaults = { epsilon = "1e-5" }
    details = ["refcoreml.kernels.resize.Sampling"]
    figure = "gates.svg"
    caption = "The gates of an LSTM."

    [softmax.U1]
    text = "What the specification leaves open."
    chosen = "What refcoreml does."
    evidence = "Why."
    confidence = "high"     # medium, low
    refused = true          # where this runs here, but not with Apple's validator

clauses/programs/<family>.toml has a table for each operation of refcoreml/mil/operations/<family>.py. The table of its
parameters, with types by operation set and defaults, is found by trying the adapter with the calls that the programs
among the variables of the example make (operations.py). So an operation needs clauses, an example that gives all its
tensors, and where that does not show everything, the rest:

    [softmax]
    S1 = "e^x / sum e^x along `axis`. Since CoreML7 so and so."
    example = '''code that makes a `program`, after the same imports'''
    prints = ""
    calls = '''code that makes other programs, which the page does not show: of older operation sets, with more
    parameters. It runs after the example.'''
    defaults = { axes = "all axes" } # what stands for a parameter that is absent, where the table says none or required
    types = { loop_vars = "any" }    # what a parameter may be; by operation set { CoreML6 = "..", CoreML8 = ".." }
    results = "as `dtype` says"      # what the results are

An operation that is always refused has C clauses only. Tests carry its clauses as ``mil.softmax.S1``: layers have the
bare names. An operation has no U clauses: programs.toml has the points that the specification of ML Programs leaves
open, of the form of U clauses, with the names of the operations that each is ``about``, whose pages list them. Tests
carry them as ``programs.U1``.

A clause is one or two sentences. C, S and U are numbered from 1, each by itself. Numbers are never used again: other
files quote them. A test says which clauses it checks: ``@pytest.mark.clause("softmax.S1", "softmax.U1")``, also in
``pytest.param(..., marks=pytest.mark.clause("softmax.S1"))`` inside of a decorator.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import io
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Set
from contextlib import redirect_stdout
from dataclasses import dataclass, field, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

import refcoreml.neuralnetwork.network  # noqa: F401 (fills the table of layers)
from refcoreml import definitions, ops
from refcoreml.mil.registry import OPERATIONS, OPSETS
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.spec import schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))
from operations import Parameter, calls, signature, versions  # noqa: E402

CLAUSES, PAGES, TESTS = HERE / "clauses", HERE / "specification", HERE.parent / "tests"
PROGRAMS = HERE / "programs.toml"
CASES = HERE.parent / "conformance" / "cases"
SCHEMA = HERE.parent / "proto" / "NeuralNetwork.proto"
FIELDS = schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
#: The keys that are no clauses, of a layer and of an operation, and those of an unspecified point.
KEYS = {"shapes", "defaults", "details", "example", "prints", "figure", "caption"}
OPERATION_KEYS = {"defaults", "details", "example", "prints", "figure", "caption", "calls", "types", "results"}
POINT = {"text", "chosen", "evidence", "confidence"}
#: What it may have besides.
MAY = {"refused"}
CONFIDENCE = ("high", "medium", "low")
#: Messages whose fields are explained elsewhere.
OPAQUE = {"WeightParams", "ActivationParams", "NeuralNetwork"}
#: What each example may use.
IMPORTS = "import numpy as np\nfrom refcoreml import build\n"
#: What precedes the name of an operation in the labels of its clauses.
MIL = "mil."
#: Operations whose parameters are those that the user's code takes.
FREE = {"custom_layer"}
#: How many conformance cases of a clause a page names.
MOST_CASES = 3

INDEX = """\
# Specification of the layers

*Generated by `docs/specification.py`; a test keeps it current.*

What each of the {layers} layers computes: formula, shapes, parameters, and {clauses} clauses, each of which has a test.
Clauses that every implementation must satisfy also have [conformance cases](../conformance.md). The last section lists
models that run here but are [refused elsewhere](#refused-elsewhere). The operations of ML Programs have
[pages of their own](programs/README.md).

- **C** constraints: what makes a model or an input invalid.
- **S** semantics: what is computed.
- **U** unspecified points: what refcoreml does, why, and with how much confidence.
  *High*: observed on the framework, or required by one of Apple's tests. *Medium*: one indirect source, such as a
  converter that relies on it. *Low*: no evidence; a choice.

In shapes `*` stands for any leading axes, `[*D]` for any shape. In rank-5 networks blobs are `[Seq, Batch, C, H, W]`;
in N-D networks they have 1 to 5 axes, see [ARCHITECTURE.md](../../ARCHITECTURE.md). An invalid model raises
`InvalidModelError`, unless a clause names another error. *Since* is the specification version that added the layer.
The limit of memory is 8 GiB for a blob.

Weights (`WeightParams`) are in row-major order, in one of four fields: `floatValue`; `float16Value`, little-endian;
`rawValue`, unsigned codes of `numberOfBits`, 1 to 8, as one stream of bits, the most significant bit first, which may
be longer than needed; `int8RawValue`, signed codes. A code q decodes to `scale` * q + `bias`, or to entry q of a table
of 2^`numberOfBits`. Scale and bias are each one number, or one per channel; the bias is 0 if it is absent, and for
signed codes. All else is invalid.
"""

OPEN = """\
# What ML Programs leave open

*Generated by `docs/specification.py`; a test keeps it current.*

What [operations of ML Programs](programs/README.md) compute has a page for each. These are the {count} points that no
specification settles: what refcoreml does, why, and with how much confidence, see [the layers](README.md). Each has a
test.
"""

OPERATIONS_INDEX = """\
# Specification of the operations of ML Programs

*Generated by `docs/specification.py`; a test keeps it current.*

What each of {operations} operations computes: formula, parameters with their types by operation set, and {clauses}
clauses, each of which has a test: **C** constraints, **S** semantics. What the specification
[leaves open](../programs.md) is numbered for all operations.

Operation sets are {opsets}; an operation means the same in later ones, until the page says what changed. An invalid
program raises `InvalidModelError`, unless a clause names another error. Floats of fp16 are computed in single precision
and rounded to fp16 after every operation ([programs.U1](../programs.md)).

*Constant* parameters are known before the program runs. *As x* means the type of elements of x. Elements and texts are
those of `model.mil`; texts are compared without regard to case.
"""

REFUSED = """\
## Refused elsewhere

Models that run here, but which the validator of Apple's tools refuses, so that they may not load on a device:
"""


@dataclass
class Layer:
    """What clauses/*.toml says of one layer, or clauses/programs/*.toml of one operation.

    Attributes:
        family: the name of the file.
        clauses: the clauses by their label within the layer, such as ``C1``; those of U are tables.
        more: all else, by key.
    """

    family: str
    clauses: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


def layers() -> dict[str, Layer]:
    """Return every layer that has clauses, in the order of the schema.

    Raises:
        ValueError: a file does not have the form that the docstring of this module describes.
    """
    found: dict[str, Layer] = {}
    for path in sorted(CLAUSES.glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        expected = {kind for kind, entry in LAYERS.items() if family_of(entry.prepare) == path.stem}
        if set(tables) != expected:
            raise ValueError(f"{path.name} should have the tables {sorted(expected)}, not {sorted(tables)}")
        for kind, table in tables.items():
            found[kind] = parted(path.stem, table)
            check_form(kind, found[kind])
    return {name: found[name] for name in (member.name for member in FIELDS) if name in found}


def operations() -> dict[str, Layer]:
    """Return every operation of ML Programs that has clauses, by family.

    Raises:
        ValueError: a file does not have the form that the docstring of this module describes.
    """
    found: dict[str, Layer] = {}
    for path in sorted((CLAUSES / "programs").glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        expected = {name for name, entry in OPERATIONS.items() if family_of(entry.adapt) == path.stem}
        missing, unknown = sorted(expected - set(tables)), sorted(set(tables) - expected)
        require(not missing and not unknown, f"{path.name} should have {missing}, not {unknown}")
        for name, table in tables.items():
            found[name] = parted(path.stem, table)
            check_operation(name, found[name])
    return found


def parted(family: str, table: Mapping[str, Any]) -> Layer:
    """Return what a table says."""
    clauses = {key for key in table if re.fullmatch(r"[CSU]\d+", key)}
    more = {key: value for key, value in table.items() if key not in clauses}
    return Layer(family, {key: value for key, value in table.items() if key in clauses}, more)


def open_points() -> Layer:
    """Return what programs.toml says, as clauses.

    Raises:
        ValueError: it does not have the form that the docstring of this module describes.
    """
    points = Layer("programs", tomllib.loads(PROGRAMS.read_text(encoding="utf-8")))
    check_clauses(points, {"about"})
    return points


def require(condition: object, problem: str) -> None:
    """Raise `ValueError` unless a condition holds."""
    if not condition:
        raise ValueError(problem)


def check_form(kind: str, layer: Layer) -> None:
    """Raise `ValueError` for a table that is not of the right form."""
    place = f"{layer.family}.toml, {kind}"
    require(not set(layer.more) - KEYS, f"{place}: unknown keys {sorted(set(layer.more) - KEYS)}")
    require("example" in layer.more and "prints" in layer.more, f"{place}: has no example, or not what it prints")
    require(any(label[0] == "S" for label in layer.clauses), f"{place}: has no S clause")
    check_clauses(layer)
    chosen = sections(inspect.getdoc(LAYERS[kind].prepare) or "").get("Chosen")
    has_points = any(label[0] == "U" for label in layer.clauses)
    require(not chosen or has_points, f"{place}: the docstring's choice has no U clause")


def check_operation(name: str, operation: Layer) -> None:
    """Raise `ValueError` for a table of an operation that is not of the right form."""
    place, keys = f"programs/{operation.family}.toml, {name}", set(operation.more)
    require(not keys - OPERATION_KEYS, f"{place}: unknown keys {sorted(keys - OPERATION_KEYS)}")
    require(operation.clauses, f"{place}: has no clause")
    check_clauses(operation)
    kinds = {label[0] for label in operation.clauses}
    require("U" not in kinds, f"{place}: open points belong into programs.toml")
    runs = "S" in kinds
    require(not runs or {"example", "prints"} <= keys, f"{place}: has no example, or not what it prints")


def check_clauses(layer: Layer, more: Set[str] = frozenset()) -> None:
    """Raise `ValueError` for clauses that are not of the right form; points need some keys more."""
    order = ["CSU".index(label[0]) * 1000 + int(label[1:]) for label in layer.clauses]
    require(order == sorted(order), f"{layer.family}.toml: clauses should be in the order C, S, U, by number")
    for label, clause in layer.clauses.items():
        place, keys = f"{layer.family}.toml: {label}", POINT | more
        if label[0] == "U":
            require(isinstance(clause, dict) and set(clause) - MAY == keys, f"{place} needs {sorted(keys)}")
            require(clause.get("refused", True) is True, f"{place}: refused is true, or left out")
            require(clause["confidence"] in CONFIDENCE, f"{place}: confidence is one of {CONFIDENCE}")
        else:
            require(isinstance(clause, str) and clause.strip(), f"{place} should be text")


#: Where layers, adapters of ML Programs, and operations are.
MODULES = ("refcoreml.neuralnetwork.layers.", "refcoreml.mil.operations.", "refcoreml.ops.")


def family_of(prepare: Any) -> str:
    """Return the module in which a layer, or an adapter, is."""
    return str(prepare.__module__).rpartition(".")[2]


def labels_in_tests(folder: Path = TESTS) -> dict[str, list[str]]:
    """Return the tests that carry each label, as ``file::function`` below the folder.

    Raises:
        ValueError: a label is not a literal, or not in a decorator of a test.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = path.relative_to(folder).as_posix()
        total = sum(1 for _ in marks(tree))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name.startswith("test"):
                for mark in (mark for decorator in function.decorator_list for mark in marks(decorator)):
                    total -= 1
                    for label in mark.args:
                        if not (isinstance(label, ast.Constant) and isinstance(label.value, str)):
                            raise ValueError(f"{name}, line {label.lineno}: a clause should be a literal")
                        tests = found.setdefault(label.value, [])
                        if f"{name}::{function.name}" not in tests:
                            tests.append(f"{name}::{function.name}")
        if total:
            raise ValueError(f"{name}: clauses belong into the decorators of tests")
    return found


def labels_in_cases(folder: Path = CASES) -> dict[str, list[str]]:
    """Return the folders of the cases that claim each label; cases that differ only in data count once."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("case.json")):
        name = path.parents[1].relative_to(folder).as_posix()
        for label in json.loads(path.read_text(encoding="utf-8"))["clauses"]:
            cases = found.setdefault(label, [])
            if name not in cases:
                cases.append(name)
    return found


def marks(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of ``pytest.mark.clause`` in a tree."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Attribute(ast.Name("pytest"), "mark"), "clause")):
                yield node


def mismatches(known: Mapping[str, Layer], carried: Mapping[str, list[str]]) -> list[str]:
    """Return clauses without a test, and labels of tests without a clause."""
    labels = {f"{kind}.{label}" for kind, layer in known.items() for label in layer.clauses}
    problems = [f"no test carries the clause {label}" for label in sorted(labels - set(carried))]
    return problems + [f"{carried[label][0]}: there is no clause {label}" for label in sorted(set(carried) - labels)]


def since() -> dict[str, str]:
    """Return the version that added each layer: from the schema's comments on groups of layers or single ones."""
    text = SCHEMA.read_text(encoding="utf-8")
    versions, group = {}, ""
    for line in text[text.index("oneof layer {") :].splitlines():
        if heading := re.match(r"\s*// v(\d)", line):
            group = heading[1]
        elif member := re.match(r"\s*\w+ (\w+) = \d+;(?:  // v(\d))?", line):
            versions[member[1]] = member[2] or group
        elif line == "  }":
            break
    return versions


# --- the pages ---


def pages(
    known: Mapping[str, Layer], carried: Mapping[str, list[str]], claimed: Mapping[str, list[str]]
) -> dict[str, str]:
    """Return the text of every page, by the name of its file."""
    versions = since()
    made = {f"{kind}.md": page(kind, layer, versions[kind], carried, claimed) for kind, layer in known.items()}
    made["README.md"] = index(known, versions)
    points = open_points()
    made["programs.md"] = page_of_points(points, carried)
    known_operations = operations()
    for name, operation in known_operations.items():
        made[f"programs/{name}.md"] = page_of_operation(name, operation, points, carried, claimed)
    made["programs/README.md"] = index_of_operations(known_operations)
    return made


def index(known: Mapping[str, Layer], versions: Mapping[str, str]) -> str:
    """Return the page that leads to all others, by family."""
    count = sum(len(layer.clauses) for layer in known.values())
    parts = [INDEX.format(layers=len(known), clauses=count)]
    for family in sorted({layer.family for layer in known.values()}):
        parts.append(f"## {family.replace('_nd', ' (N-D)').capitalize()}\n")
        parts.append("| layer | since | | clauses |\n| --- | --- | --- | --- |")
        for kind, layer in known.items():
            if layer.family == family:
                formula = cell(markdown(sections(inspect.getdoc(LAYERS[kind].prepare) or "")[""].split("\n\n")[0]))
                parts.append(f"| [{kind}]({kind}.md) | {versions[kind]} | {formula} | {len(layer.clauses)} |")
        parts.append("")
    parts.append(REFUSED)
    for kind, layer in known.items():
        for label, clause in layer.clauses.items():
            if isinstance(clause, dict) and "refused" in clause:
                parts.append(f"- [{kind}.{label}]({kind}.md): {markdown(clause['text'])} {markdown(clause['chosen'])}")
    return "\n".join(parts).rstrip() + "\n"


def page_of_points(points: Layer, carried: Mapping[str, list[str]]) -> str:
    """Return the page of what ML Programs leave open."""
    parts = [OPEN.format(count=len(points.clauses))]
    for label, point in points.clauses.items():
        about = f"*{markdown(point['about'])}*"
        parts.append("  \n".join([f"**programs.{label}** {about}", *point_lines(f"programs.{label}", point, carried)]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def point_lines(label: str, point: Mapping[str, Any], carried: Mapping[str, list[str]]) -> list[str]:
    """Return the lines of an open point, but for the first, which names it."""
    return [
        markdown(point["text"]),
        f"*Chosen:* {markdown(point['chosen'])}",
        f"*Evidence:* {markdown(point['evidence'])} *Confidence: {point['confidence']}.*",
        f"<sub>tests: {tests_of(label, carried, '../..')}</sub>",
    ]


def tests_of(label: str, carried: Mapping[str, list[str]], root: str) -> str:
    """Return links to the tests that carry a label, from a page that is so far below the root."""
    return ", ".join(
        f"[{name.rpartition('::')[2]}]({root}/tests/{name.partition('::')[0]})" for name in carried.get(label, ())
    )


def clause_parts(
    prefix: str,
    layer: Layer,
    carried: Mapping[str, list[str]],
    claimed: Mapping[str, list[str]],
    root: str = "../..",
) -> Iterator[str]:
    """Yield the paragraphs of the clauses of a layer or operation, whose labels begin with a prefix."""
    for label, clause in layer.clauses.items():
        tests = tests_of(f"{prefix}.{label}", carried, root)
        text = clause if isinstance(clause, str) else clause["text"]
        lines = [f"**{prefix}.{label}** {markdown(text)}"]
        if isinstance(clause, dict):
            lines.append(f"*Chosen:* {markdown(clause['chosen'])}")
            lines.append(f"*Evidence:* {markdown(clause['evidence'])} *Confidence: {clause['confidence']}.*")
        cases = claimed.get(f"{prefix}.{label}", [])
        shown = ", ".join(f"[{name}]({root}/conformance/cases/{name})" for name in cases[:MOST_CASES])
        more = f" and {len(cases) - MOST_CASES} more" if len(cases) > MOST_CASES else ""
        lines.append(f"<sub>tests: {tests}{f'; cases: {shown}{more}' if cases else ''}</sub>")
        yield "  \n".join(lines)


def definition_parts(prepare: Any) -> Iterator[str]:
    """Yield the section that shows the definitions of a layer or operation, if there are any."""
    functions = [text_of(function) for function in defined(prepare)]
    if functions:
        source = "\n\n".join(functions).rstrip()
        yield f"## Definition\n\nThe same as plain functions, from `refcoreml.definitions`:\n\n```python\n{source}\n```"


def example_parts(layer: Layer) -> Iterator[str]:
    """Yield the section that shows the example."""
    if "example" in layer.more:
        code, prints = layer.more["example"].strip(), layer.more["prints"].strip("\n")
        yield f"## Example\n\n```python\n{IMPORTS}\n{code}\n```\n\nprints\n\n```text\n{prints}\n```"


def detail_parts(layer: Layer, figures: str = "figures") -> Iterator[str]:
    """Yield other docstrings that belong to the page, and its picture."""
    for name in layer.more.get("details", ()):
        module, _, member = name.rpartition(".")
        yield markdown(inspect.getdoc(getattr(importlib.import_module(module), member)) or "")
    if "figure" in layer.more:
        caption = layer.more["caption"]
        yield f"![{caption.replace('`', '')}]({figures}/{layer.more['figure']})\n\n{caption}"


def page(
    kind: str, layer: Layer, version: str, carried: Mapping[str, list[str]], claimed: Mapping[str, list[str]]
) -> str:
    """Return the page of one layer."""
    parts = [f"# {kind}", f"*Specification version {version} and later. Generated by `docs/specification.py`.*"]
    texts = sections(inspect.getdoc(LAYERS[kind].prepare) or "")
    for heading, text in texts.items():
        if heading not in ("Parameters", "Fields", "Errors", "Chosen", "Source"):
            parts.append(markdown(f"**{heading}:** {text}" if heading else text))
    if "shapes" in layer.more:
        parts.append(markdown(layer.more["shapes"]))
    parts += detail_parts(layer)
    rows = list(parameters(schema.NeuralNetworkLayer.DESCRIPTOR.fields_by_name[kind].message_type))
    if rows:
        defaults = layer.more.get("defaults", {})
        lines = [f"| `{name}` | {kind_of} | {defaults.get(name, unset)} |" for name, kind_of, unset in rows]
        parts.append("\n".join(["## Parameters\n", "| field | type | if unset |", "| --- | --- | --- |", *lines]))
        parts += [markdown(texts[heading]) for heading in ("Parameters", "Fields") if heading in texts]
    parts += ["## Clauses", *clause_parts(kind, layer, carried, claimed)]
    parts = [linked(part, kind) for part in parts]
    parts += [*definition_parts(LAYERS[kind].prepare), *example_parts(layer)]
    message = schema.NeuralNetworkLayer.DESCRIPTOR.fields_by_name[kind].message_type.name
    parts.append(f"Schema: `{message}`. Code: [{layer.family}.py](../../{code_of(kind)}).")
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


# --- the pages of operations ---


def page_of_operation(
    name: str,
    operation: Layer,
    points: Layer,
    carried: Mapping[str, list[str]],
    claimed: Mapping[str, list[str]],
) -> str:
    """Return the page of an operation of ML Programs."""
    entries = versions(name)
    since = ", ".join(entry.since for entry in entries[1:])
    changed = f"; changed in {since}" if since else ""
    parts = [f"# {name}", f"*{entries[0].since} and later{changed}. Generated by `docs/specification.py`.*"]
    texts = {inspect.getdoc(entry.adapt) or "": entry.since for entry in reversed(entries)}
    for text, start in reversed(texts.items()):
        parts.append(f"**Since {start}:** {markdown(text)}" if start != entries[0].since else markdown(text))
    family = inspect.getdoc(sys.modules[entries[0].adapt.__module__]) or ""
    parts.append(f"**The family:** {markdown(family)}")
    parts += detail_parts(operation, "../figures")
    table = list(parameter_parts(name, operation))
    parts += table
    parts += ["## Clauses", *clause_parts(f"{MIL}{name}", operation, carried, claimed, "../../..")]
    open_here = [
        f"- [programs.{label}](../programs.md): {markdown(point['text'])} *Chosen:* {markdown(point['chosen'])}"
        for label, point in about(name, points)
    ]
    if open_here:
        parts.append("\n".join(["## Open\n", *open_here]))
    own = set(re.findall(r"`(\w+)`", "".join(table)))  # parameters, and texts that they may be
    parts = [linked_to(part, set(OPERATIONS) - own - {name}) for part in parts]
    parts += [*definition_parts(entries[-1].adapt), *example_parts(operation)]
    parts.append(f"Code: [{operation.family}.py](../../../refcoreml/mil/operations/{operation.family}.py).")
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def about(name: str, points: Layer) -> Iterator[tuple[str, Any]]:
    """Yield the points that name an operation."""
    for label, point in points.clauses.items():
        if name in re.findall(r"\w+", point["about"]):
            yield label, point


def parameter_parts(name: str, operation: Layer) -> Iterator[str]:
    """Yield the section on the parameters of an operation, with their types by operation set."""
    tables = signatures(name, operation)
    if not tables:
        return
    rows = dict.fromkeys(parameter for table in tables.values() for parameter in table)
    rows = {**{row: None for row in rows if row != "result"}, **{row: None for row in rows if row == "result"}}
    lines = []
    for row in rows:
        given = [table.get(row) for table in tables.values()]
        newest = next(each for each in reversed(given) if each is not None)
        absent = "" if row == "result" else newest.absent or "required"
        forms = ["" if each is None else each.form for each in given]
        label = "result" if row == "result" else f"`{row}`"
        lines.append(f"| {label} | {' | '.join(forms)} | {absent} |")
    heads = list(tables)
    heads = [heads[0], *(f"since {head}" for head in heads[1:])]
    yield "\n".join(
        ["## Parameters\n", f"| | {' | '.join(heads)} | if absent |", f"| --- | {'--- | ' * len(heads)}--- |", *lines]
    )


def signatures(name: str, operation: Layer) -> dict[str, dict[str, Parameter]]:
    """Return by operation set the parameters of an operation; versions that differ in nothing count once.

    Raises:
        ValueError: an example does not show what some parameter may be.
    """
    if "example" not in operation.more or name in FREE:
        return {}
    namespace: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()):
        exec(IMPORTS + operation.more["example"] + operation.more.get("calls", ""), namespace)
    uses = calls(name, namespace)
    found: dict[str, dict[str, Parameter]] = {}
    for entry in versions(name):
        table = signature(entry, uses, operation.more)
        place = f"programs/{operation.family}.toml, {name}"
        require(table, f"{place}: the example has no call that is valid in {entry.since}; add one to calls")
        unclear = [key for key, parameter in table.items() if not parameter.form]
        require(not unclear, f"{place}: nothing shows what {', '.join(unclear)} may be; add them to calls, or types")
        if not found or list(found.values())[-1] != table:
            found[entry.since] = table
    return found


def index_of_operations(known: Mapping[str, Layer]) -> str:
    """Return the page that leads to those of operations, by family."""
    count = sum(len(operation.clauses) for operation in known.values())
    opsets = ", ".join(f"{name} ({system})" for name, system in OPSETS.items())
    parts = [OPERATIONS_INDEX.format(operations=len(known), clauses=count, opsets=opsets)]
    for family in sorted({operation.family for operation in known.values()}):
        parts.append(f"## {family.capitalize()}\n")
        parts.append("| operation | since | | clauses |\n| --- | --- | --- | --- |")
        for name, operation in known.items():
            if operation.family == family:
                entries = versions(name)
                formula = cell(markdown((inspect.getdoc(entries[0].adapt) or "").split("\n\n")[0]))
                since = ", ".join(entry.since for entry in entries)
                parts.append(f"| [{name}]({name}.md) | {since} | {formula} | {len(operation.clauses)} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


# --- what code uses ---


def defined(prepare: Any) -> list[Any]:
    """Return the definitions of the operations that a layer and its helpers return."""
    kinds = [item for item in reached(prepare) if isinstance(item, type) and issubclass(item, ops.Op)]
    names = [name for kind in reversed(kinds) for name in re.findall(r"\bdefinitions\.(\w+)", text_of(kind))]
    return [getattr(definitions, name) for name in dict.fromkeys(names)]


def reached(layer: Any) -> list[Any]:
    """Return the functions, operations and kernels that a layer, its tables and its helpers use, the layer first.

    What the functions of `refcoreml.ops.base` use is left out: they check and convert for operations of all families.
    """
    found: list[Any] = []
    waiting = [layer]
    while waiting:
        thing = waiting.pop()
        module = getattr(thing, "__module__", None) or ""
        if isinstance(thing, partial):
            waiting += [thing.func, *thing.args]
        elif isinstance(thing, (dict, list, tuple)):
            waiting += thing.values() if isinstance(thing, dict) else thing
        elif is_dataclass(thing) and not isinstance(thing, type):
            waiting += [type(thing), *vars(thing).values()]
        elif callable(thing) and not any(thing is other for other in found):
            if isinstance(thing, np.ufunc) or module.startswith(("refcoreml.kernels.", *MODULES)):
                found.append(thing)
            shared = module == "refcoreml.ops.base" and not isinstance(thing, type)
            if module.startswith(MODULES) and not shared:
                waiting += named(thing)
                waiting += getattr(thing, "__bases__", ())
    return found


@cache
def text_of(thing: Any) -> str:
    """Return the source of a function or class; to find it takes long."""
    return textwrap.dedent(inspect.getsource(thing))


@cache
def named(function: Any) -> list[Any]:
    """Return the globals that the source of a function or class uses, annotations and decorators apart."""
    return list(_named(function))


def _named(function: Any) -> Iterator[Any]:
    known = vars(sys.modules[function.__module__])
    if getattr(function, "__name__", "") == "<lambda>":  # one of a table, whose source is no statement
        found = [known.get(name) for name in function.__code__.co_names]
        modules = [item for item in found if isinstance(item, ModuleType)]
        yield from found
        yield from (getattr(module, name, None) for module in modules for name in function.__code__.co_names)
        return
    tree = ast.parse(text_of(function))
    for node in ast.walk(tree):
        for part in {"annotation", "returns", "decorator_list"} & set(node._fields):
            setattr(node, part, [] if part == "decorator_list" else None)
    nodes = list(ast.walk(tree))
    local = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    local |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    local |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in local:
            yield known.get(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in local:
            owner = known.get(node.value.id)
            yield getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None


def code_of(kind: str) -> str:
    """Return the file in which a layer is, below the root."""
    return str(LAYERS[kind].prepare.__module__).replace(".", "/") + ".py"


def sections(docstring: str) -> dict[str, str]:
    """Return the parts of a layer's docstring by their heading; that of the first one is empty."""
    parts = re.split(r"(?<![\w`])(Inputs?|Outputs?|Parameters|Fields|Errors|Chosen|Source): ?", docstring)
    found = {"": parts[0].strip()}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        text = bulleted(text) if text.startswith("\n") else text.strip()
        found[heading] = f"{found[heading]} {text}" if heading in found else text
    return found


def bulleted(text: str) -> str:
    """Return an indented block, with each line that begins with a field as an item of a list."""
    lines = text.strip("\n").rstrip().split("\n")
    return "\n".join(re.sub(r"^    (?=``)", "- ", line) for line in lines)


def markdown(text: str) -> str:
    """Return a docstring's text, or a clause, as Markdown: code in single backquotes, what it may misread escaped."""
    text = textwrap.dedent(text.strip("\n")).strip()
    text = re.sub(r"^Y(?=[ ,\[])", "y", text)
    # A table of reStructuredText stays as it is.
    text = re.sub(r"(?m)^ *={3,}[ =]*\n(?:.*\n)*? *={3,}[ =]*$(?!\n *\w)", as_block, text)
    blocks = re.split(r"(```text\n.*?\n```)", text, flags=re.DOTALL)
    text = "".join(block if i % 2 else escaped(block) for i, block in enumerate(blocks))
    return re.sub(r"\n{3,}", "\n\n", text)


def linked(text: str, kind: str) -> str:
    """Return text with the names of other layers, unless they are fields of the layer, as links to their pages."""
    message = schema.NeuralNetworkLayer.DESCRIPTOR.fields_by_name[kind].message_type
    return linked_to(text, set(LAYERS) - {kind} - {name.rpartition(".")[2] for name, _, _ in parameters(message)})


def linked_to(text: str, others: Set[str]) -> str:
    """Return text with names in backquotes as links to their pages."""
    return re.sub(r"(?<!\[)`(\w+)`", lambda m: f"[{m[0]}]({m[1]}.md)" if m[1] in others else m[0], text)


def as_block(match: re.Match[str]) -> str:
    """Return a match as a block that is shown as it stands."""
    return f"\n```text\n{textwrap.dedent(match[0])}\n```\n"


def escaped(text: str) -> str:
    """Escape text for Markdown, except the code and the bold words in it."""
    lines = "\n".join(line.strip() for line in text.split("\n"))
    parts = re.split(r"(`+[^`]+`+|\*\*[\w ]+:\*\*)", lines)
    special = r"(?<! )\*|\*(?! )|\b_|_\b|[<|]|\](?=\()"
    return "".join(
        re.sub("`+", "`", part) if i % 2 else re.sub(special, r"\\\g<0>", part) for i, part in enumerate(parts)
    )


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split())


def parameters(message: Any, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the fields of a message and of those inside it: name, type, and the value where it is unset."""
    types = {getattr(FieldDescriptor, name): name[5:].lower() for name in dir(FieldDescriptor) if name[:5] == "TYPE_"}
    for member in message.fields:
        inner, repeated = member.message_type, is_repeated(member)
        if member.enum_type is not None:
            values = [value.name for value in member.enum_type.values]
            kind, unset = ", ".join(f"`{value}`" for value in values), f"`{values[0]}`"
        elif inner is not None:
            is_map = inner.GetOptions().map_entry
            kind, unset = "map" if is_map else f"`{inner.name}`", "none"
        else:
            kind = types[member.type]
            unset = {"bool": "false", "string": "empty", "bytes": "empty"}.get(kind, "0")
        choice = member.containing_oneof
        kind += f", one of `{choice.name}`" if choice is not None else ""
        if repeated:
            kind, unset = kind if kind == "map" else f"list of {kind}", "empty"
        yield f"{prefix}{member.name}", kind, unset
        if inner is not None and inner.name not in OPAQUE and not inner.GetOptions().map_entry:
            yield from parameters(inner, f"{prefix}{member.name}.")


def is_repeated(member: Any) -> bool:
    """Return whether a field is a list or a map; protobuf 7 has no labels, protobuf 4 nothing else."""
    found = getattr(member, "is_repeated", None)
    return bool(member.label == member.LABEL_REPEATED if found is None else found)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Writes docs/specification/ from the layers, the schema and clauses.")
    parser.add_argument("--check", action="store_true", help="only say what is wrong with clauses, tests and pages")
    arguments = parser.parse_args()
    known, carried = layers(), labels_in_tests()
    made = pages(known, carried, labels_in_cases())
    clauses = all_clauses()
    if not arguments.check:
        (PAGES / "programs").mkdir(exist_ok=True)
        for name, text in made.items():
            (PAGES / name).write_text(text, encoding="utf-8", newline="\n")
        for path in PAGES.rglob("*.md"):
            if path.relative_to(PAGES).as_posix() not in made:
                path.unlink()
    problems = mismatches(clauses, carried) + stale(made)
    count = len(clauses) - len(known) - 1
    print("\n".join(problems) or f"{len(known)} layers, {count} operations, all clauses tested, all pages current.")
    return 1 if problems else 0


def all_clauses() -> dict[str, Layer]:
    """Return the clauses of layers, of operations, and of points that are open, by what precedes them in labels."""
    return {**layers(), "programs": open_points(), **{f"{MIL}{name}": each for name, each in operations().items()}}


def stale(made: Mapping[str, str]) -> list[str]:
    """Return the pages that are not what is on disk."""
    there = {path.relative_to(PAGES).as_posix(): path.read_text(encoding="utf-8") for path in PAGES.rglob("*.md")}
    names = sorted(name for name in {*made, *there} if made.get(name) != there.get(name))
    return [f"specification/{name} is stale: run python docs/specification.py" for name in names]


if __name__ == "__main__":
    sys.exit(main())
