"""ARCHITECTURE.md tells the truth: every room of the package is in its table, and imports come from floors below."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

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


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, also of those inside functions and those for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
