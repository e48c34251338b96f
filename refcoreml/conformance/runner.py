"""Runs an implementation on cases: in parallel, each with a timeout, whatever the implementation does.

The implementation is a command, called once a case, or a session in Python (see `refcoreml.conformance.worker`), which
lives in a process of its own as well: what crashes or hangs takes nothing but its own case with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from refcoreml.conformance import guard
from refcoreml.conformance.cases import Case, CaseError, read_case
from refcoreml.conformance.exchange import read_output, step_folders, write_inputs
from refcoreml.conformance.expectations import Expectation, expected
from refcoreml.conformance.verify import OUTCOMES, Judgement, judge
from refcoreml.errors import UsageError, harmless
from refcoreml.oracle.deviation import LEAST_OUTPUTS, spread

#: The case that an implementation must return before any other counts: y = max(x, 0), ``activation/ReLU/integers``.
SMOKE = Path(__file__).with_name("smoke_case")
#: The same as an ML Program, ``mil/relu/plain/integers``, for runs that no network is part of.
PROGRAM_SMOKE = Path(__file__).with_name("smoke_program")

_FIELD = re.compile(r"\{(case|model|inputs|out|function)\}")

#: How much of what an implementation prints is kept.
_MESSAGE = 2000
#: The longest line that a worker answers with, in bytes.
_LONGEST_ANSWER = 1 << 20
#: Seconds until a guard that should end is killed itself; more than the guard allows itself.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Result:
    """A case under one implementation.

    Attributes:
        id, family, data: the case's; of a damaged case the id is its folder.
        layers, operations: the types of layers in the case, or of operations of a program.
        clauses: labels of the clauses of the specification that it checks.
        status: ``pass``, ``suspicious`` (within the bounds, but with errors larger than those of rounding, or rounded
            where integers are exact in any order), ``undetermined`` (nothing differs, but every bound is infinite),
            ``fail``, ``unsupported``, ``crash``, ``timeout``, ``damaged`` (the case, not the
            implementation); and by the implementer's list ``expected failure`` and ``unexpected pass``.
        verdict: what the case demands, one of `refcoreml.conformance.cases.VERDICTS`; empty if it cannot be read.
        outcome: what the implementation did, one of `OUTCOMES` or ``crash`` or ``timeout``; empty if it was not asked.
        message: why.
        worst: the largest error, in bounds; see `refcoreml.conformance.verify.Judgement`.
        where: the output and index of the worst element.
        seconds: how long it took.
    """

    id: str
    family: str
    data: str
    layers: Sequence[str]
    verdict: str
    outcome: str
    status: str
    message: str
    worst: float
    where: str
    seconds: float
    operations: Sequence[str] = ()
    clauses: Sequence[str] = ()

    @property
    def bad(self) -> bool:
        """Whether it makes the run fail."""
        return self.status not in ("pass", "suspicious", "undetermined", "unsupported", "expected failure")


class Implementation(Protocol):
    """What runs cases, one at a time."""

    def run(self, folder: Path, out: Path, timeout: float) -> tuple[str, str]:
        """Run a case; return the outcome and its message. Raise `CaseError` for a damaged case only."""

    def close(self) -> None:
        """End what is still running."""


class Command:
    """A command line with ``{case}``, ``{model}``, ``{inputs}`` and ``{out}`` in it; see `OUTCOMES` for its exit codes.

    They stand for the case's folder, its model, a folder with its inputs as ``NAME.npy``, and one for its outputs, both
    with a folder for each step in them if there are several; ``{function}`` for the function to run, mostly nothing.
    """

    def __init__(self, command: str) -> None:
        try:
            self._parts = shlex.split(command, posix=os.name != "nt")
        except ValueError as error:
            raise UsageError(f"the command is {command!r}: {error}", remedy="Close what is quoted") from error
        if os.name == "nt":  # where quotes stay, as backslashes must
            self._parts = [part.strip('"') for part in self._parts]
        if not any(name in command for name in ("{case}", "{model}")):
            raise UsageError(
                f"the command is {command!r}", remedy='It needs {case} or {model}: --command "myimpl {case} {out}"'
            )

    def run(self, folder: Path, out: Path, timeout: float) -> tuple[str, str]:
        """Start the command and wait for its end."""
        case = read_case(folder)
        values = {"case": str(folder), "model": str(case.check_model()), "inputs": str(out / "in"), "out": str(out)}
        values["function"] = case.function
        if case.function and not any(name in part for name in ("{function}", "{case}") for part in self._parts):
            return "unsupported", f"the command has no {{function}}, and the case is about {case.function!r}"
        if any("{inputs}" in part for part in self._parts):
            write_inputs(case, out / "in")
        for place in step_folders(case, out):
            place.mkdir(exist_ok=True)
        parts = [_FIELD.sub(lambda field: values[field[1]], part) for part in self._parts]
        with tempfile.TemporaryFile(buffering=0) as said:
            try:
                process = _guarded("closed", parts, stdout=said, stderr=said)
            except (OSError, ValueError) as error:
                return "crash", f"cannot be started: {error}"
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                return "timeout", f"no answer within {timeout:g} s"
            finally:
                _end(process)
            outcome, text = OUTCOMES.get(code, "crash"), _end_of(said)
        return outcome, text if outcome != "crash" else f"exit code {code}: {text}".rstrip(": ")

    def close(self) -> None:
        """End all that still runs."""


class PythonSession:
    """A session in Python, in a worker process that serves case after case and is replaced when it dies."""

    def __init__(self, name: str, environment: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "refcoreml.conformance.worker", name]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._said: IO[bytes] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._said = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed with the worker)
        process = _guarded(
            "relay", self._command, stdout=subprocess.PIPE, stderr=self._said, environment=self._environment
        )
        answers: queue.Queue[bytes] = queue.Queue()
        self._answers = answers

        def listen() -> None:
            assert process.stdout is not None
            # Closed here: another thread would wait for as long as this one reads.
            with contextlib.suppress(OSError), process.stdout as stream:
                while line := stream.readline(_LONGEST_ANSWER):
                    answers.put(line)
            answers.put(b"")  # it has ended

        threading.Thread(target=listen, daemon=True).start()
        return process

    def run(self, folder: Path, out: Path, timeout: float) -> tuple[str, str]:
        """Send the case to the worker and wait for its answer."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = self._start()
        assert self._process.stdin is not None
        assert self._said is not None
        self._said.seek(0)  # what was said about other cases; the worker shares the position
        self._said.truncate()
        try:
            self._process.stdin.write(json.dumps([str(folder), str(out)]).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            return "timeout", f"no answer within {timeout:g} s"
        except OSError:
            answer = b""
        try:
            told = json.loads(answer)
            outcome, message = str(told["outcome"]), str(told["message"])[:_MESSAGE]
            if outcome in (*OUTCOMES.values(), "crash", "damaged"):
                return outcome, message
            what = f"the session's process answered {outcome!r}"
        except (ValueError, KeyError, TypeError, RecursionError):
            what = "the session's process garbled its answer" if answer else "the session's process ended"
        if not answer:
            with contextlib.suppress(subprocess.TimeoutExpired):
                what += f" with the exit code {self._process.wait(_PATIENCE)}"
        text = _end_of(self._said)
        self.close()
        return "crash", f"{what}: {text}".rstrip(": ")

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            _end(self._process)
        if self._said is not None:
            self._said.close()
        self._process = self._said = None


def _guarded(
    mode: str,
    command: Sequence[str],
    *,
    stdout: IO[bytes] | int,
    stderr: IO[bytes],
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command under a guard, see `refcoreml.conformance.guard`."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, mode, *command],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        start_new_session=os.name != "nt",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a guard, which ends its command and all that it has started, and wait for it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_of(said: IO[bytes]) -> str:
    """Return the last of what was printed, of which there may be any amount."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - _MESSAGE))
    return said.read().decode("utf-8", "replace").strip()


def run_cases(
    folders: Sequence[Path],
    make: Callable[[], Implementation],
    profile: str,
    *,
    jobs: int = 2,
    timeout: float = 30.0,
    expectations: Sequence[Expectation] = (),
) -> Iterator[Result]:
    """Run cases and yields their results as they come.

    Args:
        folders: the cases.
        make: makes an implementation; called once a job.
        profile: the arithmetic that the implementation claims; cases that say nothing about it are left out.
        jobs: how many cases run at a time.
        timeout: seconds a case may take.
        expectations: the implementer's list.
    """
    local = threading.local()
    made: list[Implementation] = []

    def one(folder: Path) -> Result | None:
        if not hasattr(local, "implementation"):
            local.implementation = make()
            made.append(local.implementation)
        return _run_case(folder, local.implementation, profile, timeout, expectations)

    pool = ThreadPoolExecutor(max(1, jobs))
    try:
        for future in as_completed([pool.submit(one, folder) for folder in folders]):
            result = future.result()
            if result is not None:
                yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for implementation in made:
            implementation.close()


def _run_case(
    folder: Path, implementation: Implementation, profile: str, timeout: float, expectations: Sequence[Expectation]
) -> Result | None:
    started = time.perf_counter()
    case: Case | None = None
    outcome = said = ""
    try:
        case = read_case(folder)
        if not case.supports(profile):
            return None
        with tempfile.TemporaryDirectory(prefix="refcoreml-", ignore_cleanup_errors=True) as name:
            out = Path(name)
            outcome, said = implementation.run(folder.resolve(), out, timeout)
            if outcome == "damaged":
                raise CaseError(said)
            outputs = {output.place: output for output in case.outputs}
            judgement = judge(case, outcome, lambda place: read_output(outputs[place], out), profile)
            if judgement.status == "pass" and outcome == "returned":
                judgement = _graded(case, judgement, out, profile)
    except CaseError as error:
        judgement, said = Judgement("damaged", str(error)), ""
    except Exception as error:  # whatever a case holds, the others still run
        judgement, said = Judgement("damaged", f"the case cannot be run: {type(error).__name__}: {error}"), ""
    message = judgement.message
    if judgement.status in ("fail", "crash", "timeout", "unsupported") and said:
        message = f"{message}; it said: {said}" if message else said
    status = judgement.status
    known = expected(case.id, expectations) if case else None
    if known is not None and status in ("pass", "suspicious", "fail", "crash", "timeout"):
        status = "unexpected pass" if status in ("pass", "suspicious") else "expected failure"
        message = f"{known.reason} ({message})" if message else known.reason
    return Result(
        id=case.id if case else harmless(str(folder)),
        family=case.family if case else "damaged",
        data=case.data if case else "",
        layers=case.layers if case else [],
        verdict=case.verdict if case else "",
        outcome=outcome,
        status=status,
        message=harmless(message, keep="\t\n"),
        worst=judgement.worst,
        where=judgement.where,
        seconds=time.perf_counter() - started,
        operations=case.operations if case else [],
        clauses=case.clauses if case else [],
    )


def _graded(case: Case, judgement: Judgement, out: Path, profile: str) -> Judgement:
    """``suspicious`` if the errors of an output, all within their bounds, are together too large to be rounding.

    Bounds of long sums in half precision are wider than a forgotten term is large; see `refcoreml.oracle.deviation`.
    """
    for output in case.outputs:
        expected_here = output.profiles[profile]
        if expected_here.deviation is None:
            continue
        reference = expected_here.reference.read().astype(np.float64)
        deviation = expected_here.deviation.read().astype(np.float64)
        y = read_output(output, out).reshape(reference.shape).astype(np.float64)
        usable = np.isfinite(y) & np.isfinite(reference) & np.isfinite(deviation) & (deviation > 0)
        if np.count_nonzero(usable) < LEAST_OUTPUTS:
            continue
        found = spread(y[usable], reference[usable], deviation[usable])
        if not found.honest:
            what = (
                f"errors have an RMS of {found.rms:.3g} (at most {found.rms_limit:.3g} is usual) and a bias of "
                f"{found.bias:.3g} (at most {found.bias_limit:.3g}), in standard deviations of rounding"
            )
            return replace(judgement, status="suspicious", message=f"output {output.place}: {what}")
    return judgement
