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
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refcoreml.conformance.cases import Case, CaseError, read_case
from refcoreml.conformance.expectations import Expectation, expected
from refcoreml.conformance.verify import OUTCOMES, Judgement, judge
from refcoreml.errors import UsageError
from refcoreml.oracle.deviation import LEAST_OUTPUTS, spread

_FIELD = re.compile(r"\{(case|model|inputs|out)\}")

#: How much of what an implementation prints is kept.
_MESSAGE = 2000


@dataclass(frozen=True)
class Result:
    """A case under one implementation.

    Attributes:
        id, family, data: the case's; of a damaged case the id is its folder.
        layers: the types of layers in the case.
        status: ``pass``, ``suspicious`` (within the bounds, but with errors larger than those of rounding, or rounded
            where whole numbers are exact in any order),
            ``fail``, ``unsupported``, ``crash``, ``timeout``, ``damaged`` (the case, not the
            implementation); and by the implementer's list ``expected failure`` and ``unexpected pass``.
        message: why.
        worst: the greatest error, in bounds; see `refcoreml.conformance.verify.Judgement`.
        where: the output and index of the worst element.
        seconds: how long it took.
    """

    id: str
    family: str
    data: str
    layers: Sequence[str]
    status: str
    message: str
    worst: float
    where: str
    seconds: float

    @property
    def bad(self) -> bool:
        """Whether it makes the run fail."""
        return self.status not in ("pass", "suspicious", "unsupported", "expected failure")


class Implementation(Protocol):
    """What runs cases, one at a time."""

    def run(self, folder: Path, out: Path, timeout: float) -> tuple[str, str]:
        """Runs a case; returns the outcome and what was said about it. Raises `CaseError` for a damaged case only."""

    def close(self) -> None:
        """Ends what is still running."""


class Command:
    """A command line with ``{case}``, ``{model}``, ``{inputs}`` and ``{out}`` in it; see `OUTCOMES` for its exit codes.

    They stand for the case's folder, its model, a folder with its inputs as ``NAME.npy``, and one for its outputs.
    """

    def __init__(self, command: str) -> None:
        self._parts = shlex.split(command, posix=os.name != "nt")
        if os.name == "nt":  # where quotes stay, as backslashes must
            self._parts = [part.strip('"') for part in self._parts]
        if not any(name in command for name in ("{case}", "{model}")):
            raise UsageError(
                f"the command is {command!r}", remedy='It needs {case} or {model}: --command "myimpl {case} {out}"'
            )

    def run(self, folder: Path, out: Path, timeout: float) -> tuple[str, str]:
        """Starts the command and waits for its end."""
        case = read_case(folder)
        values = {"case": str(folder), "model": str(case.check_model()), "inputs": str(out / "in"), "out": str(out)}
        if any("{inputs}" in part for part in self._parts):
            (out / "in").mkdir()
            for name, array in case.read_inputs().items():
                np.save(out / "in" / f"{name}.npy", array)
        parts = [_FIELD.sub(lambda field: values[field[1]], part) for part in self._parts]
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    parts, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=os.name != "nt"
                )
            except OSError as error:
                return "crash", f"cannot be started: {error}"
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                return "timeout", f"no answer within {timeout:g} s"
            outcome = OUTCOMES.get(code, "crash")
            # A command may print as much as it likes; only the end is read.
            said.seek(max(0, said.seek(0, os.SEEK_END) - _MESSAGE))
            text = said.read().decode("utf-8", "replace").strip()
        return outcome, text if outcome != "crash" else f"exit code {code}: {text}".rstrip(": ")

    def close(self) -> None:
        """Nothing is left running."""


class PythonSession:
    """A session in Python, in a worker process that serves case after case and is replaced when it dies."""

    def __init__(self, name: str, environment: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "refcoreml.conformance.worker", name]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=self._environment,
            start_new_session=os.name != "nt",
        )
        answers: queue.Queue[str] = queue.Queue()
        self._answers = answers

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line)
            answers.put("")  # it has ended

        threading.Thread(target=listen, daemon=True).start()
        return process

    def run(self, folder: Path, out: Path, timeout: float) -> tuple[str, str]:
        """Sends the case to the worker and waits for its answer."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{folder}\t{out}\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            return "timeout", f"no answer within {timeout:g} s"
        except OSError:
            answer = ""
        try:
            told = json.loads(answer)
            return str(told["outcome"]), str(told["message"])[:_MESSAGE]
        except (ValueError, KeyError, TypeError):
            code = self._process.wait(5) if not answer else None
            self.close()
            return "crash", "the session's process ended" + (f" with the exit code {code}" if code is not None else "")

    def close(self) -> None:
        """Ends the worker."""
        if self._process is not None:
            _kill(self._process)
            self._process = None


def _kill(process: subprocess.Popen[Any]) -> None:
    """Ends a process and those that it has started."""
    try:
        if os.name != "nt":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except OSError:
        pass
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def run_cases(
    folders: Sequence[Path],
    make: Callable[[], Implementation],
    profile: str,
    *,
    jobs: int = 2,
    timeout: float = 30.0,
    expectations: Sequence[Expectation] = (),
) -> Iterator[Result]:
    """Runs cases and yields their results as they come.

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
    try:
        case = read_case(folder)
        if not case.supports(profile):
            return None
        with tempfile.TemporaryDirectory(prefix="refcoreml-", ignore_cleanup_errors=True) as name:
            out = Path(name)
            outcome, said = implementation.run(folder.resolve(), out, timeout)
            if outcome == "damaged":
                raise CaseError(said)
            judgement = judge(case, outcome, partial(_read_output, out), profile)
            if judgement.status == "pass" and outcome == "returned":
                judgement = _graded(case, judgement, partial(_read_output, out), profile)
    except CaseError as error:
        judgement, said = Judgement("damaged", str(error)), ""
    message = judgement.message
    if judgement.status in ("fail", "crash", "timeout", "unsupported") and said:
        message = f"{message}; it said: {said}" if message else said
    status = judgement.status
    known = expected(case.id, expectations) if case else None
    if known is not None and status in ("pass", "suspicious", "fail", "crash", "timeout"):
        status = "unexpected pass" if status in ("pass", "suspicious") else "expected failure"
        message = f"{known.reason} ({message})" if message else known.reason
    return Result(
        case.id if case else str(folder),
        case.family if case else "damaged",
        case.data if case else "",
        case.layers if case else [],
        status,
        message,
        judgement.worst,
        judgement.where,
        time.perf_counter() - started,
    )


def _graded(case: Case, judgement: Judgement, read_output: Callable[[str], Any], profile: str) -> Judgement:
    """``suspicious`` if the errors of an output, all within their bounds, are together too large to be rounding.

    Bounds of long sums in half precision are wider than a forgotten term is large; see `refcoreml.oracle.deviation`.
    """
    for output in case.outputs:
        expected_here = output.profiles[profile]
        if expected_here.deviation is None:
            continue
        reference = expected_here.reference.read().astype(np.float64)
        deviation = expected_here.deviation.read().astype(np.float64)
        y = np.asarray(read_output(output.name)).reshape(reference.shape).astype(np.float64)
        usable = np.isfinite(y) & np.isfinite(reference) & np.isfinite(deviation) & (deviation > 0)
        if np.count_nonzero(usable) < LEAST_OUTPUTS:
            continue
        found = spread(y[usable], reference[usable], deviation[usable])
        if not found.honest:
            what = (
                f"errors have an RMS of {found.rms:.3g} (at most {found.rms_limit:.3g} is usual) and a bias of "
                f"{found.bias:.3g} (at most {found.bias_limit:.3g}), in standard deviations of rounding"
            )
            return replace(judgement, status="suspicious", message=f"output {output.name}: {what}")
    return judgement


def _read_output(out: Path, name: str) -> Any:
    path = out / f"{name}.npy"
    if not path.is_file():
        raise ValueError("was not written")
    return read_npy(path)


def read_npy(path: Path) -> NDArray[Any]:
    """An array of numbers from a ``.npy`` file; raises `CaseError` for anything else.

    The file is mapped first, so that a header that promises more than the file holds is refused without being believed.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise CaseError(f"{path.name} does not hold an array of numbers")
        return np.array(array)
    except CaseError:
        raise
    except Exception as error:  # a garbled header can make NumPy raise almost anything
        raise CaseError(f"{path.name} is no .npy file: {type(error).__name__}: {str(error)[:200]}") from error
