"""No other room opens, replaces or creates files by itself: what is wrong with that was mended in `storage` once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "refcoreml"

#: Calls by their last name, whatever they are called on.
METHODS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "savefig", "save", "tofile", "touch"}
#: Functions of these modules, apart from those named.
MODULES = {
    "shutil": {"disk_usage", "get_terminal_size", "which"},
    "tempfile": set(),
    "mmap": set(),
}
FUNCTIONS = {
    *("os.open", "os.fdopen", "os.replace", "os.rename", "os.link", "os.symlink", "os.truncate", "os.mkfifo"),
    *(f"np.{name}" for name in ("load", "save", "savez", "savez_compressed", "savetxt", "loadtxt", "genfromtxt")),
    *("np.fromfile", "np.memmap", "np.lib.format.open_memmap", "io.open", "io.FileIO", "zipfile.ZipFile", "open"),
}
#: What may stand there nevertheless.
ALLOWED = {
    ("spec/files.py", "old.open"): "a file of a `storage.reading.Folder`",
    ("cli/console.py", "os.open"): "the null device, where output goes when its reader has gone",
    ("spec/foreign.py", "zipfile.ZipFile"): "bytes that have been read",
    ("cli/quantize.py", "made.save"): "a `Model`",
    ("testing/spec_grammar.py", "tempfile.TemporaryDirectory"): "a folder of its own",
    ("testing/spec_grammar.py", "single.save"): "a `Model`",
    ("integrations/coremltools.py", "tempfile.mkdtemp"): "a folder of its own",
    ("integrations/coremltools.py", "model.save"): "a `Model`",
    ("conformance/runner.py", "tempfile.TemporaryDirectory"): "a folder of its own",
    ("conformance/runner.py", "tempfile.TemporaryFile"): "a file of its own, which has no name",
    ("conformance/guard.py", "open"): "a file of the system about a process",
    ("conformance/exchange.py", "np.save"): "into a folder of the run's own, which ends with it",
    ("conformance/worker.py", "os.fdopen"): "standard output",
}


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def opens_a_file(node: ast.Call) -> bool:
    name = called(node)
    module, _, function = name.partition(".")
    # Pillow and Matplotlib read and write streams, too; then `storage` opens the file.
    streams = [arg for arg in node.args[:1] if isinstance(arg, ast.Name) and arg.id in ("stream", "file", "buffer")]
    if name.rpartition(".")[2] in METHODS and "." in name:
        return not streams
    return name in FUNCTIONS or (module in MODULES and function not in MODULES[module])


def found_in(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and opens_a_file(node):
            yield node.lineno, called(node)


def test_only_storage_opens_files() -> None:
    wrong, used = [], set()
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith("storage/"):
            continue
        for line, call in found_in(file.read_text(encoding="utf-8")):
            used.add((name, call))
            if (name, call) not in ALLOWED:
                wrong.append(f"refcoreml/{name}:{line} calls {call}: use refcoreml.storage")
    assert not wrong, "\n".join(wrong)
    unused = {place for place in ALLOWED if place not in used and (PACKAGE / place[0]).exists()}
    assert not unused, f"no longer needed: {unused}"


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "Path(p).open()",
        "path.write_text('')",
        "np.load(p)",
        "np.savez(p, x=1)",
        "figure.savefig(path)",
        "image.save(path)",
        "Image.open(path)",
        "os.replace(a, b)",
        "tempfile.mkstemp()",
        "shutil.copytree(a, b)",
        "array.tofile(p)",
        "zipfile.ZipFile(p)",
    ],
)
def test_the_search_finds_them(text: str) -> None:
    assert list(found_in(text))


@pytest.mark.parametrize(
    "text", ["Image.open(stream)", "picture.save(buffer, 'PNG')", "open_file(p)", "x.replace(a, b)"]
)
def test_the_search_finds_nothing_else(text: str) -> None:
    assert not list(found_in(text))
