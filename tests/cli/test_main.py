"""The last resort of the command line, files that are not what they should be, and text that steers terminals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml import build
from refcoreml.cli.exits import INTERNAL

ESCAPES = ("\x1b", "\x9b", "\u202e", "\u2028", "\x07")
EVIL = "a\x1b[2J\x9b31m\u202e\u2028\x07\nb"


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    path = tmp_path / "relu.mlmodel"
    net.model().save(path)
    return path


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (KeyError("x"), INTERNAL, "this is a fault of refcoreml, not of the model or the arguments: KeyError: 'x'"),
        (RecursionError("deep"), INTERNAL, "RecursionError: deep"),
        (RuntimeError(EVIL), INTERNAL, "a\\x1b[2J\\x9b31m"),
        (MemoryError(), 5, "the memory is used up"),
        (OSError(28, "No space left on device", "out.npz"), 5, "out.npz: No space left on device"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_unexpected_errors_are_one_line_and_say_whose_fault_it_is(
    run: Any, monkeypatch: pytest.MonkeyPatch, relu: Path, error: BaseException, expected: int, words: str
) -> None:
    monkeypatch.delenv("REFCOREML_TRACEBACK", raising=False)
    monkeypatch.setattr("refcoreml.cli.inspect.load", raising(error))
    code, out, err = run("inspect", relu)
    assert (code, out) == (expected, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert ("REFCOREML_TRACEBACK=1" in err) == (expected == INTERNAL)
    assert not any(character in err for character in ESCAPES)


def test_the_traceback_is_shown_on_request(run: Any, monkeypatch: pytest.MonkeyPatch, relu: Path) -> None:
    monkeypatch.setenv("REFCOREML_TRACEBACK", "1")
    monkeypatch.setattr("refcoreml.cli.inspect.load", raising(KeyError("x")))
    code, _, err = run("inspect", relu)
    assert code == INTERNAL
    assert "Traceback (most recent call last)" in err
    assert "in fail\n    raise error\nKeyError: 'x'" in err


def test_a_reader_that_goes_away_is_no_failure(relu: Path) -> None:
    command = f'"{sys.executable}" -m refcoreml inspect "{relu}"; echo "code $?" >&2'
    found = subprocess.run(["bash", "-c", f"({command}) | true"], capture_output=True, text=True, timeout=120)
    assert found.stderr.strip() == "code 0"


def test_letters_that_a_terminal_does_not_have_are_escaped(tmp_path: Path) -> None:
    net = build.Network({"größe": (3,)}, ["尺寸"])
    net.add("activation", outputs="尺寸", ReLU={})
    net.model().save(tmp_path / "net.mlmodel")
    found = subprocess.run(
        [sys.executable, "-m", "refcoreml", "inspect", tmp_path / "net.mlmodel"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    assert "größe".encode("cp1252") in found.stdout
    assert b"\\u5c3a" in found.stdout


# --- files -----------------------------------------------------------------------------------------------------------


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + content


def npz(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def with_checksum_of_zero(archive: bytes) -> bytes:
    place = archive.index(b"PK\x01\x02") + 16
    return archive[:place] + bytes(4) + archive[place + 4 :]


def bomb() -> bytes:
    """An archive of 16 MB of zeros that says they are 64 GB, and a header that says so, too."""
    head = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16000000000,), }", bytes(1 << 20))
    content = bytearray(npz(x=head))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature) + offset
        content[place : place + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    return bytes(content)


GOOD = io.BytesIO()
np.save(GOOD, np.arange(3, dtype=np.float32))
FILES: dict[str, bytes] = {
    "empty.npy": b"",
    "text.npy": b"1 2 3\n",
    "cut.npy": GOOD.getvalue()[:-3],
    "large.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }"),
    "negative.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
    "objects.npy": npy("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", b"cos\nsystem\n"),
    "nonsense.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 5000),
    "type.npy": npy("{'descr': '<q999', 'fortran_order': False, 'shape': (3,), }"),
    "version.npy": npy("{}", version=b"\x09\x09"),
    "empty.npz": b"",
    "no-entries.npz": npz(),
    "text.npz": npz(x=b"no array"),
    "cut.npz": npz(x=GOOD.getvalue())[:-30],
    "damaged.npz": with_checksum_of_zero(npz(x=GOOD.getvalue())),
    "bomb.npz": bomb(),
    "empty.json": b"",
    "deep.json": b"[" * 200_000,
    "long.json": b"9" * 10_000,
    "bytes.json": b"\xff\xfe\x00",
    "surrogate.json": b'{"x": "\\ud800"}',
    "number.json": b"7",
    "null.json": b"null",
    "strings.json": b'["a", "b", "c"]',
    "nested.json": b'{"x": {"x": {"x": [1, 2, 3]}}}',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("option", ["-i x=", "-i ", "--labels", "--plan", "--custom", "--data"])
def test_files_that_are_not_what_they_should_be(run: Any, relu: Path, tmp_path: Path, name: str, option: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    np.savez(tmp_path / "data.npz", x=np.ones((2, 3), np.float32))
    commands = {
        "-i x=": ("predict", relu, "-i", f"x={path}"),
        "-i ": ("predict", relu, "-i", path),
        "--labels": ("compare", relu, relu, "--data", tmp_path / "data.npz", "--labels", path),
        "--plan": ("quantize", relu, "-o", tmp_path / "out.mlmodel", "--plan", path),
        "--custom": ("predict", relu, "-i", "x=1,2,3", "--custom", path),
        "--data": ("compare", relu, relu, "--data", path),
    }
    code, _, err = run(*commands[option])
    assert code in ((2, 5) if option == "--custom" else (2,))
    assert "error:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("ending", ["npy", "npz", "json"])
@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "long", "nul", "loop"])
def test_paths_that_cannot_be_read(run: Any, relu: Path, tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"x.{ending}"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    name = {"long": f"{'x' * 5000}.{ending}", "nul": f"x\0.{ending}"}.get(kind, str(path))
    assert run("predict", relu, "-i", f"x={name}")[0] == 2
    assert run("compare", relu, relu, "--data", name)[0] == 2
    assert run("predict", relu, "-i", "x=1,2,3", "--custom", name)[0] == 2
    assert run("quantize", relu, "-o", tmp_path / "out.mlmodel", "--plan", name)[0] == 2


@pytest.mark.parametrize(
    "text",
    [
        "raise GeneratorExit",
        "import sys\nsys.exit('\x1b[2J')",
        "class E(BaseException):\n  def __str__(self): 1/0\nraise E",
    ],
)
def test_code_of_the_user_that_raises_anything(run: Any, relu: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    code, _, err = run("predict", relu, "-i", "x=1,2,3", "--custom", tmp_path / "bad.py")
    assert code == 5
    assert "bad.py: raised " in err
    assert "\x1b[2J" not in err


@pytest.mark.parametrize(
    "given",
    ["x=", "x=1e999999", "x=" + "9" * 10_000, "x=" + "[" * 100_000, "x=[[1],[2,3]]", "x=\ud800", "x={}", "x=null"],
)
def test_literals_that_are_no_value(run: Any, relu: Path, given: str) -> None:
    code, _, err = run("predict", relu, "-i", given)
    assert code == 2
    assert len(err) < 1000


@pytest.mark.parametrize("command", ["predict", "oracle", "quantize", "preview"])
def test_targets_that_cannot_be_written(run: Any, relu: Path, tmp_path: Path, command: str) -> None:
    endings = {"predict": "npz", "oracle": "npz", "quantize": "mlmodel", "preview": "png"}
    inputs = ("-i", "x=1,2,3") if command != "quantize" else ("--bits", "8")
    (tmp_path / f"folder.{endings[command]}").mkdir()
    for name in ("folder", "missing/file", "relu.mlmodel/file", "n\0ul", "l" * 300):
        code, _, err = run(command, relu, *inputs, "-o", tmp_path / f"{name}.{endings[command]}")
        assert code == 2, err
        assert "error:" in err


# --- text from models ------------------------------------------------------------------------------------------------


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A network all of whose texts steer terminals, and break lines."""
    net = build.Network({f"in{EVIL}": (3,)}, [f"out{EVIL}"], classes=[f"0{EVIL}", "=cmd|' /C calc'!A0", "2"])
    net.add("activation", name=f"layer{EVIL}", outputs=f"blob{EVIL}", ReLU={})
    net.add(
        "innerProduct",
        name=f"last{EVIL}",
        outputs=f"out{EVIL}",
        weights=np.eye(3) * 7,
        input_channels=3,
        output_channels=3,
    )
    spec = net.spec()
    spec.description.metadata.author = f"author{EVIL}"
    spec.description.metadata.userDefined[f"key{EVIL}"] = f"value{EVIL}"
    spec.description.input[0].shortDescription = f"description{EVIL}"
    path = tmp_path / "evil.mlmodel"
    path.write_bytes(spec.SerializeToString())
    return path


def test_text_of_a_model_steers_no_terminal(run: Any, evil: Path, tmp_path: Path) -> None:
    name = f"in{EVIL}"
    np.savez(tmp_path / "x.npz", **{name: np.ones((2, 3), np.float32)})
    given = ("-i", tmp_path / "one.npz")
    np.savez(tmp_path / "one.npz", **{name: np.ones(3, np.float32)})
    commands = [
        ("inspect", evil),
        ("predict", evil, *given),
        ("trace", evil, *given),
        ("oracle", evil, *given),
        ("quantize", evil, "--bits", "16", "-o", tmp_path / "half.mlmodel"),
        ("compare", evil, evil, "--data", tmp_path / "x.npz", "--layers", "--csv", tmp_path / "out.csv"),
        ("predict", evil, "-i", "x=1"),
        ("predict", evil),
    ]
    for command in commands:
        code, out, err = run(*command)
        assert code == (2 if command in commands[-2:] else 0), err
        assert not any(character in out + err for character in ESCAPES), command
        assert "\nb" not in out, command
    assert not any(character in (tmp_path / "out.csv").read_text() for character in ESCAPES)
    for command in commands[:6]:
        if command[0] != "compare":
            _, out, _ = run(*command, "--json")
            assert not any(character in out for character in ESCAPES), command
            assert any(EVIL in text for text in _strings(json.loads(out))), command


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from _strings(item)
