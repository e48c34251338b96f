"""ARCHITECTURE.md tells the truth: every room of the package is in its table, and imports come from floors below."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from refcoreml.evaluators.base import Evaluator, Layered
from refcoreml.model import EVALUATORS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "refcoreml"
#: Packages that only these rooms may import.
ONLY_IN = {"rich": {"cli"}, "matplotlib": {"reporting"}}


def floors() -> dict[str, int]:
    """The floor of each room, by the name of its folder or file."""
    found: dict[str, int] = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        cells = line.split("|")
        if len(cells) > 3 and cells[1].strip().isdigit():
            for room in re.findall(r"`([^`]+)`", cells[2]):
                assert room not in found, f"{room} is in the table twice"
                found[room] = int(cells[1])
    return found


def rooms() -> list[str]:
    entries = (path for path in PACKAGE.iterdir() if path.name != "__pycache__")
    names = {
        f"{path.name}/" if path.is_dir() else path.name for path in entries if path.is_dir() or path.suffix == ".py"
    }
    return sorted(names - {"__init__.py"})


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """All nodes of a file."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, also of those inside functions and those for types alone."""
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}:{node.lineno} is a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in modules() else node.module
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


@cache
def modules() -> dict[str, Path]:
    """The files of the package by the names that they are imported by."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(module: str) -> str:
    name = module.split(".")[1]
    return f"{name}/" if (PACKAGE / name).is_dir() else f"{name}.py"


def test_the_table_has_every_room_and_no_other() -> None:
    assert sorted(floors()) == rooms()


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_from_floors_below(room: str) -> None:
    table, path = floors(), PACKAGE / room.rstrip("/")
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in (path.rglob("*.py") if path.is_dir() else [path])
        for line, module in imports(file)
        if module.startswith("refcoreml.")
        and room_of(module) in table
        and room_of(module) != room
        and table[room_of(module)] >= table[room]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: {module for _, module in imports(path)} & modules().keys() for name, path in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


#: Files in which functions import parts of the package, and why.
LATE = {"refcoreml/integrations/pytest_plugin.py": "every run of pytest loads it, nearly all without use"}


def test_what_the_package_imports_of_itself_is_at_the_top_of_files() -> None:
    late = {
        path.relative_to(ROOT).as_posix()
        for path in modules().values()
        for function in nodes_of(path)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if str(name).split(".")[0] == "refcoreml"
    }
    assert late == LATE.keys()


def test_nothing_in_the_package_imports_its_root() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules().values()
        for line, module in imports(path)
        if module == "refcoreml"
    ]
    assert not wrong, f"import from the rooms themselves in {', '.join(wrong)}"


def test_kernels_know_numpy_alone_and_only_the_command_line_knows_rich() -> None:
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0]
        for line, module in imports(file):
            top = module.split(".")[0]
            place = f"{file.relative_to(ROOT)}:{line} imports {module}"
            assert room != "kernels" or top not in ("google", "PIL", "rich"), place
            assert room in ONLY_IN.get(top, {room}) or file.name == "__main__.py", place


def test_private_modules_are_used_in_their_room_alone() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for name, path in modules().items()
        for line, module in imports(path)
        for room, underscore, _ in [module.partition("._")]
        if underscore and module.startswith("refcoreml.") and not name.startswith(f"{room}.")
    ]
    assert not wrong, "\n".join(wrong)


#: Names with an underscore that other packages have in spite of it, and what named tuples have.
FOREIGN = {"_asdict", "_core", "_exit", "_fields", "_multiarray_umath", "_replace", "_schema"}


def private_uses(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Attributes with an underscore of anything but ``self`` or ``cls``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.fullmatch("_(?!_).*", node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            yield from () if own else (node,)


def defined(tree: ast.AST) -> set[str]:
    """The names that a file defines: functions, fields, and attributes set through ``self``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def private_uses_elsewhere(source: str) -> list[str]:
    """Private attributes that a file uses and does not define."""
    tree = ast.parse(source)
    known = defined(tree) | FOREIGN
    return [f"{node.lineno} uses .{node.attr}" for node in private_uses(tree) if node.attr not in known]


def test_no_file_uses_private_attributes_of_classes_elsewhere() -> None:
    assert private_uses_elsewhere("class A:\n    def f(self, model):\n        model._file\n") == ["3 uses ._file"]
    assert private_uses_elsewhere("class A:\n    def f(self, other):\n        self._x = other._x\n") == []
    wrong = [
        f"{file.relative_to(ROOT)}:{use}"
        for file in PACKAGE.rglob("*.py")
        for use in private_uses_elsewhere(file.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def asks_for_an_evaluator(node: ast.AST) -> bool:
    """Whether this asks what class an evaluator has, or whether it has an attribute that it may not declare."""
    if not isinstance(node, ast.Call) or len(node.args) < 2:
        return False
    asked, name = node.args[1], ast.unparse(node.func)
    if name in ("getattr", "hasattr"):
        declared = {*vars(Evaluator), *Evaluator.__annotations__, *Layered._fields}
        return isinstance(asked, ast.Constant) and asked.value in {n for n in declared if not n.startswith("__")}
    if name not in ("isinstance", "issubclass", "is_a", "values.is_a", "given.is_a"):
        return False
    classes = {kind.__name__ for kind in (Evaluator, *EVALUATORS.values()) if isinstance(kind, type)}
    return any(isinstance(part, ast.Name) and part.id in classes for part in ast.walk(asked))


def test_nobody_asks_for_the_class_of_an_evaluator() -> None:
    for text in (
        "isinstance(x, CustomModelEvaluator)",
        "isinstance(x, (int, Pipeline))",
        "getattr(model.prepare(), 'network', None)",
    ):
        assert asks_for_an_evaluator(ast.parse(text).body[0].value)  # type: ignore[attr-defined]
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]
        for file in PACKAGE.rglob("*.py")
        if file != PACKAGE / "evaluators" / "custom.py"  # it asks the user's code
        for node in nodes_of(file)
        if asks_for_an_evaluator(node)
    ]
    assert not wrong, "\n".join(wrong)


def compares_kinds_of_features(node: ast.AST) -> bool:
    """Whether this compares ``kind`` with the name of a kind of feature."""
    if not isinstance(node, ast.Compare):
        return False
    sides = (node.left, *node.comparators)
    asked = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
    names = {part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)}
    kinds = {"int64", "double", "string", "image", "array", "dictionary", "sequence", "state"}
    return asked and bool(names & kinds)


def test_what_depends_on_the_kind_of_a_feature_is_in_the_class_of_the_kind() -> None:
    for text in ('feature.kind == "image"', 'x.kind in ("int64", "double")', '"array" != model.inputs[0].kind'):
        assert compares_kinds_of_features(ast.parse(text, mode="eval").body)
    assert not compares_kinds_of_features(ast.parse('encoding.kind == "linear"', mode="eval").body)
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]
        for file in PACKAGE.rglob("*.py")
        for node in nodes_of(file)
        if compares_kinds_of_features(node)
    ]
    assert not wrong, "\n".join(wrong)


#: What looks into steps or layers for those inside of them: the two walks, and what prepares, checks, runs them.
NESTED = {
    "execution/blame.py": "follows values into regions and out of them",
    "execution/control.py": "chooses among regions",
    "execution/steps.py": "the walk over steps",
    "neuralnetwork/graph.py": "the walk over layers, and the rules of their names",
    "neuralnetwork/layers/control.py": "prepares the layers that hold others",
    "neuralnetwork/steps.py": "prepares the others",
}


def test_nobody_else_walks_nested_steps_or_layers() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in nodes_of(file)
        if (isinstance(node, ast.Attribute) and node.attr in ("bodies", "regions", "inner_networks"))
        or (isinstance(node, ast.Constant) and node.value in ("ifBranch", "elseBranch", "bodyNetwork"))
        or (isinstance(node, ast.Attribute) and node.attr in ("ifBranch", "elseBranch", "bodyNetwork"))
    }
    assert found == NESTED.keys()
