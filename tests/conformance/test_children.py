"""Commands and sessions that hang, die, or start others: nothing of them stays, and the run goes on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refcoreml.conformance import guard
from refcoreml.conformance.runner import Command, PythonSession, run_cases

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "conformance/cases"
CEIL, OTHER = CASES / "ceil/plain/halves", CASES / "ceil/plain/wide"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sessions and groups of processes are those of POSIX systems")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to a process that asks for them")

#: Writes the numbers of processes that would stay: in a session of its own, without environment, without a parent.
STARTS = """
import os, subprocess, sys, time
def start(folder):
    child = ["/bin/sh", "-c", 'cd "$1" && : > pid$$ && exec /bin/sleep 600', "sh", folder]
    subprocess.Popen(child, start_new_session=True)
    subprocess.Popen(child, start_new_session=True, env={})
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen(child, start_new_session=True)
        os._exit(0)
    while len([name for name in os.listdir(folder) if name.startswith("pid")]) < 3:
        time.sleep(0.01)
"""

#: After a start: what the implementation does itself.
ACTS = {
    "returns": "pass",
    "hangs": "time.sleep(600)",
    "dies": "os._exit(9)",
    "closes": "os.closerange(0, 64)\ntime.sleep(600)",
}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(folder: Path, count: int, seconds: float = 20.0) -> bool:
    """Whether as many processes as have written their numbers are gone, or go soon."""
    pids = [int(path.name.removeprefix("pid")) for path in folder.glob("pid*")]
    assert len(pids) == count
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:  # not to leave them behind if the test fails
        os.kill(pid, signal.SIGKILL)
    return not left


def write_session(folder: Path, act: str, before: str = "") -> str:
    path = folder / "session.py"
    body = "\n        ".join(act.splitlines())
    path.write_text(
        f"{STARTS}\nimport numpy as np\ndef prepare(model):\n    def session(inputs):\n        {before or 'pass'}\n"
        f"        if 'halves' in model:\n            {body.replace(chr(10), chr(10) + '    ')}\n"
        "        return {'y0': np.ceil(inputs['x0'])}\n    return session\n"
    )
    return str(path)


def write_command(folder: Path, act: str, before: str = "") -> str:
    path = folder / "command.py"
    path.write_text(
        f"{STARTS}\nimport numpy as np\ncase, inputs, out = sys.argv[1:]\n{before}\n"
        "np.save(out + '/y0.npy', np.ceil(np.load(inputs + '/x0.npy')))\n"
        "if 'halves' in case:\n    " + act.replace("\n", "\n    ") + "\n"
    )
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} {{case}} {{inputs}} {{out}}"


@linux
@pytest.mark.parametrize(
    ("kind", "act"),
    [(kind, act) for kind in ("session", "command") for act in ACTS if (kind, act) != ("command", "closes")],
)
def test_nothing_is_left_of_what_an_implementation_starts(tmp_path, kind, act):
    pids = tmp_path / "pids"
    pids.mkdir()
    lines = f"start({str(pids)!r})\n{ACTS[act]}"
    if kind == "session":
        name = write_session(tmp_path, lines)
        results = run_cases([CEIL, OTHER], lambda: PythonSession(name), "fp32", jobs=1, timeout=4)
    else:
        name = write_command(tmp_path, lines)
        results = run_cases([CEIL, OTHER], lambda: Command(name), "fp32", jobs=1, timeout=4)
    expected = {"returns": "pass", "dies": "crash"}.get(act, "timeout")
    assert [(result.id, result.status) for result in results] == [
        ("ceil/plain/halves", expected),
        ("ceil/plain/wide", "pass"),
    ]
    assert gone(pids, 3)


@pytest.mark.parametrize("kind", ["session", "command"])
def test_a_runner_that_is_killed_leaves_nothing(tmp_path, kind):
    pids = tmp_path / "pids"
    pids.mkdir()
    lines = f"open(os.path.join({str(pids)!r}, f'pid{{os.getpid()}}'), 'x').close()\ntime.sleep(600)"
    if kind == "session":
        arguments = ["--python", write_session(tmp_path, lines)]
    else:
        arguments = ["--command", write_command(tmp_path, lines)]
    command = [sys.executable, "-m", "refcoreml", "conformance", "run", "--cases", str(CASES), *arguments]
    runner = subprocess.Popen([*command, "--smoke", "ceil/plain/wide", "ceil/plain/halves"], stdout=subprocess.PIPE)
    end = time.monotonic() + 60
    while not list(pids.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    runner.kill()
    assert gone(pids, 1)
    assert runner.communicate(timeout=20)[0] == b""  # nobody else holds its standard output


def test_what_a_command_prints_and_how_it_ends_passes_through(tmp_path):
    def run(*command, mode="closed", given=b""):
        return subprocess.run(
            [sys.executable, "-I", "-S", guard.__file__, mode, *command], input=given, capture_output=True, check=False
        )

    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as open_end:
        for code, line in ((0, "exit 0"), (1, "exit 1"), (2, "exit 2"), (137, "kill -9 $$")):
            command = [sys.executable, "-I", "-S", guard.__file__, "closed", "sh", "-c", f"echo said; cat; {line}"]
            done = subprocess.run(command, stdin=open_end.stdout, capture_output=True, check=False)
            assert (done.returncode, done.stdout) == (code, b"said\n")
        open_end.kill()
    assert run("/no/such/program").returncode == guard.CANNOT_START
    assert b"cannot be started" in run("/no/such/program").stderr
    # The end of standard input ends a command that would go on.
    started = time.monotonic()
    assert run("sleep", "60").returncode == 128 + signal.SIGKILL
    assert time.monotonic() - started < 30


def test_an_answer_that_is_garbled_is_a_crash(tmp_path):
    before = "[os.write(fd, b'\\xff\\n') for fd in range(3, 9) if os.path.exists(f'/dev/fd/{fd}')]"
    name = write_session(tmp_path, "pass", before)
    (result,) = run_cases([CEIL], lambda: PythonSession(name), "fp32")
    assert (result.status, "garbled" in result.message) == ("crash", True)


# ---- Answers ----


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("os.truncate(y, 3 << 30)", "bytes"),
        ("header(y, (3 << 28,)); os.truncate(y, 3 << 30)", "bytes"),
        ("header(y, (30 << 40,))", "header declares"),
        ("os.remove(y); os.mkfifo(y)", "pipe"),
        ("os.remove(y); os.symlink('/dev/zero', y)", "device"),
        ("os.rename(y, y.replace('y0', 'Y0'))", "'Y0.npy' was"),
    ],
)
def test_answers_that_are_no_arrays_or_too_large(tmp_path, act, message):
    header = (
        "def header(path, shape):\n"
        "    with open(path, 'wb') as file:\n"
        "        np.lib.format.write_array_header_1_0(file, {'descr': '<f4', 'fortran_order': False, 'shape': shape})\n"
        "y = out + '/y0.npy'\n"
    )
    name = write_command(tmp_path, act, header)
    (result,) = run_cases([CEIL], lambda: Command(name), "fp32", timeout=60)
    assert (result.status, message in result.message) == ("fail", True), result.message


def test_where_systems_ignore_case_the_letters_still_count(tmp_path, monkeypatch):
    name = write_command(
        tmp_path, "os.rename(out + '/y0.npy', out + '/Y0.npy'); os.link(out + '/Y0.npy', out + '/y0.npy')"
    )
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [entry for entry in listed(path) if entry != "y0.npy"])
    (result,) = run_cases([CEIL], lambda: Command(name), "fp32")
    assert (result.status, "'Y0.npy' was, in other letters" in result.message) == ("fail", True)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("np.broadcast_to(np.float32(0), (3 << 30,))", "(3221225472,), which is not written"),
        ("type('Odd', (), {'__array__': lambda *_, **__: 1 / 0})()", "ZeroDivisionError"),
        ("np.array([{}])", "array of objects"),
    ],
)
def test_answers_of_sessions_that_are_not_written(tmp_path, value, message):
    name = write_session(tmp_path, f"return {{'y0': {value}}}")
    (result,) = run_cases([CEIL], lambda: PythonSession(name), "fp32")
    assert (result.status, message in result.message) == ("fail", True), result.message
