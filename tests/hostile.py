"""Judges hostile and damaged models in a process of its own, whose memory is limited where the system can do that.

A watchdog ends it, with its stack, when a model hangs. An InternalError counts as a failure: it says that refcoreml
accepted what it cannot compute.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from profiles import THOROUGH

import refcoreml
from refcoreml.errors import InternalError, RefCoreMLError
from refcoreml.execution import control, engine
from refcoreml.execution.limits import Limits

SECONDS = 5.0  # one is meant; five keep a slow machine from raising a false alarm
WATCHDOG = 180
ADDRESS_SPACE = 4 << 30
CHEAP = 1 << 21  # elements of all blobs together, up to which a prediction is made
LONGEST_MESSAGE = 10_000
ROUNDS = control.LOOP_LIMIT if THOROUGH else 20_000  # after which a loop is taken for endless

#: A name, and what makes the model or its path.
Maker = tuple[str, Callable[[], Any]]
#: The makers of a batch, in a fixed order, from what describes it.
Batch = Callable[..., Iterator[Maker]]
#: What became of a model: the ``outcome``, ``why``, and how many ``seconds`` it took.
Judgement = dict[str, Any]


def zeros(model: refcoreml.Model) -> dict[str, Any] | None:
    """Inputs of zeros, or None where the model does not say how large they are."""
    values: dict[str, Any] = {}
    for feature in model.inputs:
        if feature.kind == "image":
            mode = {1: "F" if "16" in feature.element else "L", 3: "RGB"}[feature.channels]
            values[feature.name] = Image.new(mode, feature.shapes.default)
        elif feature.kind == "array":
            if feature.default_shape is None:
                return None
            values[feature.name] = np.zeros(feature.default_shape, np.float32)
        else:
            values[feature.name] = {"int64": 0, "double": 0.0, "string": "", "dictionary": {}, "sequence": []}.get(
                feature.kind
            )
    return values


def attempt(source: Any, limits: Limits | None = None) -> None:
    """Loads, asks for shapes, predicts for zeros where that is cheap; also with the other functions of a program."""
    model = refcoreml.load(source, limits=limits)
    try_out(model)
    for name in model.functions:
        if name != model.function:
            try_out(refcoreml.load(source, limits=limits, function=name))


def try_out(model: refcoreml.Model) -> None:
    shapes = model.shapes()
    if sum(map(math.prod, shapes.values())) > CHEAP:
        return
    inputs = zeros(model)
    if inputs is not None:
        model.predict(inputs, state=model.make_state() if model.states else None)


def judged(make: Callable[[], Any], limits: Limits | None = None) -> Judgement:
    """What became of one model (``computed``, ``refused``, ``failed``), why, and in what time."""
    source = make()
    faulthandler.dump_traceback_later(WATCHDOG, exit=True)
    started = time.process_time()
    try:
        attempt(source, limits)
        outcome, why = "computed", ""
    except InternalError:
        outcome, why = "failed", traceback.format_exc()
    except RefCoreMLError as error:
        outcome, why = "refused", str(error)
        if not error.problem or len(why) > LONGEST_MESSAGE:
            outcome, why = "failed", f"{type(error).__name__} with a message of {len(why)} characters: {why[:300]}"
    except Exception:
        outcome, why = "failed", traceback.format_exc()
    seconds = time.process_time() - started  # other processes do not count
    faulthandler.cancel_dump_traceback_later()
    return {"outcome": outcome, "why": why[-3000:], "seconds": seconds}


def answer(batch: Batch, limits: Mapping[str, Limits]) -> None:
    """Judge what is requested, a batch from a place on for each line of the input; print a line after each model.

    Args:
        batch: makes one.
        limits: those that hold for some models, by name.
    """
    warnings.simplefilter("ignore")
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    except (ImportError, ValueError, OSError):
        pass
    control.LOOP_LIMIT, engine.ROUND_LIMIT = ROUNDS, min(engine.ROUND_LIMIT, 2 * ROUNDS)
    for line in sys.stdin:
        start, requested = json.loads(line)
        for name, make in islice(batch(*requested), start, None):
            print(json.dumps(judged(make, limits.get(name))), flush=True)


class Judge:
    """A process that judges models; another one goes on after a model that ends it.

    Args:
        errors: a file for what it reports as it ends.
        batch: makes a batch.
        command: arguments of Python: a script that calls `answer` with the same.
    """

    def __init__(self, errors: IO[str], batch: Batch, *command: str) -> None:
        self._errors, self._batch, self._command = errors, batch, [sys.executable, *command]
        self._process: subprocess.Popen[str] | None = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            paths = [str(Path(refcoreml.__file__).parents[1]), str(Path(__file__).parent)]
            paths += filter(None, [os.environ.get("PYTHONPATH")])
            # Every thread of the matrix library reserves some of the limited address space.
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
            self._process = subprocess.Popen(self._command, env=env, text=True, encoding="utf-8", **pipes)
        return self._process

    def batch(self, *requested: Any) -> dict[str, Judgement]:
        """What became of each model of a `batch`, whose arguments these are."""
        names = [name for name, _ in self._batch(*requested)]
        found: list[Judgement] = []
        while len(found) < len(names):
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps([len(found), requested]), file=process.stdin, flush=True)
            found += map(json.loads, islice(process.stdout, len(names) - len(found)))
            if len(found) < len(names):
                found.append({"outcome": "failed", "why": self.close(), "seconds": 0.0})
        return dict(zip(names, found, strict=True))

    def close(self) -> str:
        """End the process, if there is one, and return how it ended."""
        if self._process is None:
            return ""
        self._process.communicate()
        code, self._process = self._process.returncode, None
        self._errors.seek(0)
        end = f"the process ended with {code}: {self._errors.read()[-3000:]}"
        self._errors.seek(0)
        self._errors.truncate()
        return end


def check(results: dict[str, Judgement], limit: float = SECONDS) -> None:
    """Nothing failed, nothing took long; tells how it went."""
    counts = Counter(result["outcome"] for result in results.values())
    slowest = max(results, key=lambda name: results[name]["seconds"])
    print(f"{dict(counts)}, the slowest took {results[slowest]['seconds']:.2f} s: {slowest}")
    failed = [f"{name}: {result['why']}" for name, result in results.items() if result["outcome"] == "failed"]
    assert not failed, f"{len(failed)} of {len(results)} failed, such as " + "\n\n".join(failed[:5])
    assert results[slowest]["seconds"] < limit, slowest
