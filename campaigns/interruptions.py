"""Kills every writing command, and fills its disk, at any moment: the old file or the new one must be there, whole.

    python -m campaigns.interruptions --kills 200
    python -m campaigns.interruptions --only predict.npz --kills 2000
    python -m campaigns.interruptions --loads 5000

Each command runs in a forked child, so that nothing is imported anew. Half of the kills are a child's own, with
SIGKILL, at each of its calls that change the file system, in turn; the other half come from outside after a random time
since the first of these calls, so that they also hit the middle of a long write. A child that ends before it is killed
is no kill, and another one is begun. A disk is full by an error from each of the calls, in turn, and by a limit on the
size of files, which cuts a write off.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from refcoreml import build, load
from refcoreml.cli import main as run_command
from refcoreml.errors import UsageError
from refcoreml.spec.files import read_model
from refcoreml.storage import writing
from refcoreml.storage.arrays import read_npz
from refcoreml.studies.records import Journal

_CASES = Path(__file__).resolve().parents[1] / "conformance"
_CALLS = ("open", "mkdir", "fsync", "replace", "rename", "chmod", "unlink", "rmdir")
_SECONDS = 120.0
_OLD = b"the old file\n" * 50


@dataclass
class Command:
    """A command that writes.

    Attributes:
        name: for the table.
        work: runs it; returns the exit code.
        out: the folder that it writes into.
        old: makes what is there before.
        varies: endings of files whose content is another one each time, so that it is only seen to be whole.
        before, new: what is there before, and after a run that is left alone, see `_state`.
        calls, seconds: of such a run, how often it changed the file system, and how long that took.
    """

    name: str
    work: Callable[[], int]
    out: Path
    old: Callable[[], None]
    varies: tuple[str, ...] = ()
    new: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    seconds: float = 0.0


# --- the child --------------------------------------------------------------------------------------------------------


class _Calls:
    """Counts the calls that change something below a folder, and does something before the n-th."""

    def __init__(self, folder: Path, at: int, act: Callable[[str], None], first: Callable[[], object]) -> None:
        self.count, self._started = 0, False
        self._folder, self._at, self._act, self._first = str(folder), at, act, first
        for name in _CALLS:
            setattr(os, name, self._watched(getattr(os, name), name))
        writing._exchange = self._watched(writing._exchange, "exchange")  # type: ignore[assignment]

    def _watched(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            if self._matters(name, arguments):
                self._step(name)
            return call(*arguments, **options)

        return watched

    def _matters(self, name: str, arguments: tuple[Any, ...]) -> bool:
        if name == "fsync":
            return self._started
        inside = str(arguments[0]).startswith(self._folder)
        return inside and (name != "open" or bool(arguments[1] & (os.O_WRONLY | os.O_RDWR)))

    def _step(self, name: str) -> None:
        if not self._started:
            self._started = True
            self._first()
        self.count += 1
        if self.count == self._at:
            self._act(name)


def _die(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _disk_full(name: str) -> None:
    if name not in ("unlink", "rmdir"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _run(
    command: Command,
    at: int = 0,
    act: Callable[[str], None] = _die,
    largest: int | None = None,
    kill: float | None = None,
) -> tuple[int, int, float]:
    """Run a command in a child; return its exit code (negative for a signal), its calls, its seconds of writing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(command, writer, at, act, largest)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        stream.read(1)  # the first call that writes, or the end
        started = time.perf_counter()
        if kill is not None:
            time.sleep(kill)
            os.kill(child, signal.SIGKILL)
        told = stream.read()
    seconds = time.perf_counter() - started
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(told or 0), seconds


def _in_child(command: Command, pipe: int, at: int, act: Callable[[str], None], largest: int | None) -> None:
    code = 99  # an exception that no command should let through
    with contextlib.suppress(BaseException):
        signal.alarm(int(_SECONDS))
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        calls = _Calls(command.out, at, act, lambda: os.write(pipe, b" "))
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        code = command.work()
        os.write(pipe, str(calls.count).encode())
    os._exit(code)


# --- what is there afterwards -----------------------------------------------------------------------------------------


def _state(folder: Path) -> dict[str, Any]:
    """Return the content of each target: bytes of a file, of a package its model's label and its weights."""
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix == ".mlpackage":
            read = read_model(path)
            assert read.weights is not None
            data = (read.weights / "weight.bin").read_bytes()
            found[path.name] = (read.spec.SerializeToString(), data)
        else:
            found[path.name] = path.read_bytes()
    return found


def _whole(name: str, content: bytes, folder: Path) -> None:
    """Raise unless a file of a form that varies (times are in it) is complete."""
    kind = Path(name).suffix
    if kind == ".json":
        json.loads(content)
    elif kind == ".xml":
        ElementTree.fromstring(content)
    elif kind == ".html":
        assert content.endswith(b"</html>\n"), "the page does not end"
    elif kind == ".jsonl":
        with Journal(folder / name):  # drops a line that was torn, and refuses all else
            pass
    elif kind in (".png", ".jpg"):
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    elif kind == ".csv":
        lines = content.decode().splitlines()
        assert content.endswith(b"\n"), "the last line does not end"
        assert len(lines) > 1, "there are no lines"
        assert len({line.count(",") for line in lines}) == 1, "lines differ in their number of cells"
    elif kind == ".npz":
        assert read_npz(folder / name)
    else:
        raise AssertionError(f"{name} is neither the old nor the new one")


def _problems(command: Command) -> Iterator[str]:
    try:
        found = _state(command.out)
    except Exception as error:
        yield f"a package cannot be read: {error}"
        return
    for name in command.before.keys() - found.keys():
        yield f"{name} is gone"
    for name, content in found.items():
        if content in (command.before.get(name), command.new.get(name)):
            continue
        if not name.endswith(command.varies or ("\0",)):
            yield f"{name} is neither the old nor the new one"
            continue
        try:
            _whole(name, content, command.out)
        except Exception as error:
            yield f"{name} is torn: {type(error).__name__}: {error}"


def _left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def _begin(command: Command) -> None:
    shutil.rmtree(command.out, ignore_errors=True)
    command.out.mkdir()
    command.old()


# --- the campaign -----------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """The outcome of a command: how often each state was found afterwards, and what was wrong."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def note(self, command: Command, moment: str, *, may_leave: bool) -> None:
        """Look at what a run has left."""
        for problem in _problems(command):
            self.findings.append(f"{self.name}, {moment}: {problem}")
        if not may_leave and (names := _left_over(command.out)):
            self.findings.append(f"{self.name}, {moment}: left {', '.join(names)}")
        with contextlib.suppress(Exception):
            found = _state(command.out)
            same = [found.get(name) == content for name, content in command.before.items()]
            self.counts["old" if all(same) and found.keys() == command.before.keys() else "new or some new"] += 1


def examine(command: Command, kills: int, rng: random.Random) -> Result:
    """Kill a command so many times, and let every call of it fail once."""
    result = Result(command.name)
    _begin(command)
    command.before = _state(command.out)
    code, command.calls, command.seconds = _run(command)
    if code != 0 or command.calls < 3:
        result.findings.append(f"{command.name}: ended with {code} after {command.calls} calls when left alone")
        return result
    command.new = _state(command.out)
    turn = 0
    while result.counts["killed"] < kills and turn < 10 * kills + 100:
        _begin(command)
        if turn % 2:
            moment = f"killed after {(kill := rng.uniform(0, 1.1 * command.seconds)):.4f} s"
            code, _, _ = _run(command, kill=kill)
        else:
            moment = f"killed before call {(at := turn // 2 % command.calls + 1)}"
            code, _, _ = _run(command, at)
        result.counts["killed" if code == -signal.SIGKILL else "ended before"] += 1
        result.note(command, moment, may_leave=True)
        turn += 1
    sizes = [len(content) for content in command.new.values() if isinstance(content, bytes)] or [4000]
    failures = [{"at": at, "act": _disk_full} for at in range(1, command.calls + 1)]
    limits = [{"largest": size} for size in sorted({0, 1, max(sizes) // 2, max(sizes) - 1})]
    for options in (*failures, *limits) if kills else ():
        _begin(command)
        moment = ", ".join(f"{name} {value}" for name, value in options.items() if name != "act") + ", disk full"
        code, _, _ = _run(command, **options)  # type: ignore[arg-type]
        result.counts["failed" if code else "succeeded"] += 1
        # A conformance run ends with 6 where the smoke case cannot be run, here for want of temporary files.
        if code not in (0, 1, 2, 5) and (command.name, code) != ("conformance", 6):
            result.findings.append(f"{command.name}, {moment}: ended with {code}")
        result.note(command, moment, may_leave=False)
    return result


def loads(folder: Path, count: int) -> Result:
    """Load a package so often while another process saves it again and again."""
    result = Result(f"{count} loads")
    path = _package(folder / "busy.mlpackage", "old")
    child = os.fork()
    if child == 0:
        model = load(path, prepare=False)
        while True:
            model.spec.description.metadata.author = "".join(random.choices("abc", k=random.randrange(3000)))
            model.save(path)
            os.utime(folder)
    try:
        for _ in range(count):
            before = folder.stat().st_mtime_ns
            try:
                found = read_model(path)
                assert found.weights is not None
                result.counts["loaded"] += 1
            except Exception as error:
                result.findings.append(f"a load failed: {type(error).__name__}: {error}")
            result.counts["saved meanwhile"] += folder.stat().st_mtime_ns != before
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return result


# --- the commands -----------------------------------------------------------------------------------------------------


def _package(path: Path, label: str) -> Path:
    net = build.Network({"x": (3,)}, ["y"])
    weights = np.random.default_rng(len(label)).normal(size=(40, 3))
    net.add("innerProduct", name=label, outputs="y", inputChannels=3, outputChannels=40, weights=weights)
    shutil.rmtree(path, ignore_errors=True)
    net.model().save(path)
    manifest = json.loads((path / "Manifest.json").read_text())
    manifest["itemInfoEntries"]["W"] = {
        "author": "com.apple.CoreML",
        "description": "weights",
        "name": "weights",
        "path": "com.apple.CoreML/weights",
    }
    (path / "Manifest.json").write_text(json.dumps(manifest))
    (path / "Data" / "com.apple.CoreML" / "weights").mkdir()
    (path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").write_bytes(label.encode() * 50_000)
    return path


def commands(work: Path) -> list[Command]:
    """Return the commands, with what they need, in a folder."""
    data = work / "data"
    data.mkdir()
    package, old_package = _package(data / "new.mlpackage", "new"), _package(data / "old.mlpackage", "old")
    net = build.Network({"x": (3,)}, {"y": (40,)})
    weights = np.random.default_rng(5).normal(size=(40, 3))
    net.add("innerProduct", outputs="y", inputChannels=3, outputChannels=40, weights=weights)
    net.model().save(data / "net.mlmodel")
    pictures = build.Network({"image": build.image(60, 40)}, {"styled": build.image(60, 40)})
    pictures.add("activation", outputs="styled", linear={"alpha": 1.0, "beta": 0.0})
    pictures.model().save(data / "picture.mlmodel")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(data / "photo.png")
    np.savez(data / "samples.npz", x=np.arange(12.0).reshape(4, 3))
    session = _CASES / "sessions" / "refcoreml_float32.py"

    def command(name: str, targets: dict[str, str], *arguments: object, varies: tuple[str, ...] = ()) -> Command:
        out = work / f"out-{name}"

        def old() -> None:
            for target in targets.values():
                if target.endswith(".mlpackage"):
                    shutil.copytree(old_package, out / target)
                elif target:
                    (out / target).write_bytes(_OLD)

        options = [part for option, target in targets.items() for part in (option, str(out / target))]
        given = [str(argument) for argument in arguments]
        return Command(name, lambda: run_command([*given, *options]), out, old, varies)

    photo = ("-i", data / "photo.png")
    samples = ("--data", data / "samples.npz")
    compare = ("compare", data / "net.mlmodel", data / "net.mlmodel", *samples)
    made = [
        command("predict.npz", {"-o": "y.npz"}, "predict", data / "net.mlmodel", "-i", "1,2,3"),
        command("predict.png", {"-o": "y.png"}, "predict", data / "picture.mlmodel", *photo),
        command("preview.jpg", {"-o": "y.jpg"}, "preview", data / "picture.mlmodel", *photo),
        command("oracle.npz", {"-o": "y.npz"}, "oracle", data / "net.mlmodel", "-i", "1,2,3"),
        command("quantize.mlmodel", {"-o": "q.mlmodel"}, "quantize", data / "net.mlmodel", "--bits", "8"),
        command("quantize.mlpackage", {"-o": "q.mlpackage"}, "quantize", package, "--bits", "8"),
        command("compare.csv", {"--csv": "c.csv"}, *compare),
        command(
            "conformance",
            {"--json": "r.json", "--junit": "r.xml", "--html": "r.html"},
            *("conformance", "run", "--cases", _CASES / "cases", "--python", session, "ceil/plain/halves"),
            varies=(".json", ".xml", ".html"),
        ),
        _saved_again(work / "out-Model.save", old_package),
    ]
    with contextlib.suppress(ImportError):
        import matplotlib.figure  # noqa: F401 (imported once, before the children)

        kinds = (".json", ".jsonl", ".html", ".csv", ".png")
        study = ("study", data / "net.mlmodel", *samples, "--bits", "8", "--modes", "linear")
        made += [
            command("compare.png", {"--plot": "c.png"}, *compare, varies=(".png",)),
            command("study", {"-o": ""}, *study, varies=kinds),
        ]
    return made


def _saved_again(out: Path, old: Path) -> Command:
    """Return a package that is loaded, changed and saved in its own place."""
    path = out / "own.mlpackage"

    def work() -> int:
        model = load(path, prepare=False)
        model.spec.description.metadata.author = "new"
        try:
            model.save(path)
        except UsageError:
            return 2
        return 0

    return Command("Model.save", work, out, lambda: shutil.copytree(old, path) and None)


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; return 1 if something was torn or lost."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.interruptions", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="how often each command is killed (200)")
    parser.add_argument("--only", action="append", default=[], metavar="COMMAND", help="which command, by name (all)")
    parser.add_argument("--loads", type=int, default=0, metavar="N", help="load a package N times during saves instead")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(os.path.realpath(name))
        if options.loads:
            results: Iterator[Result] = iter([loads(work, options.loads)])
        else:
            chosen = [c for c in commands(work) if not options.only or c.name in options.only]
            rng = random.Random(options.seed)
            results = (examine(command, options.kills, rng) for command in chosen)
        for result in results:
            counts = ", ".join(f"{count} {what}" for what, count in sorted(result.counts.items()))
            print(f"{result.name}: {counts}", flush=True)
            findings += result.findings
            for finding in result.findings[:10]:
                print(f"  {finding}", flush=True)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
