"""What every mutated model goes through, and what counts as a finding.

An outcome is a result, or one of the package's own errors. Findings are: any other exception, an `InternalError`,
an operation above the limit of time, a disagreement between `predict` and `observe` or `trace`, a refusal by one of
them alone, a prediction that only the lenient reading changes, a quantized model that no longer loads.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

import refcoreml
from campaigns.mutations import hostile_array, is_random
from conformance.sessions.custom_layers import LAYERS as CUSTOM_LAYERS
from refcoreml import visualize
from refcoreml.cli.main import parser
from refcoreml.errors import InternalError, RefCoreMLError
from refcoreml.features import Feature
from refcoreml.oracle import PROFILES, blob_answers, layer_answers, oracle
from refcoreml.quantization import dequantize_weights, quantize_weights, weight_changes, weight_tensors
from refcoreml.spec import schema

#: Seconds of processor time that one operation may take.
SECONDS = 2.0
#: Bounds may take so many times as long as a prediction: a layer of ball arithmetic is dozens of operations on arrays.
BOUNDS_COST = 50
#: Elements up to which an input is made, and a prediction compared.
LARGEST_INPUT = 1 << 16
#: Limits of a model, low enough that whatever is not refused ends within the limit of time.
LIMITS = {"REFCOREML_MEMORY": "256e6", "REFCOREML_WORK": "3e8"}
#: Characters that an error may have.
LONGEST_MESSAGE = 10_000
_MODES = ["linear", "linear_symmetric", "linear_lut", "kmeans"]


class TimeUp(BaseException):
    """The operation has used up its time; no `except Exception` catches it."""


class Doubler:
    """The custom model of the seeds."""

    def __init__(self, description: Any, parameters: Mapping[str, Any]) -> None:
        self.description, self.factor = description, parameters.get("factor", 1)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return each output as a multiple of the only input."""
        (value,) = inputs.values()
        return {feature.name: value * self.factor for feature in self.description.outputs}


@dataclass(frozen=True)
class Finding:
    """What is wrong.

    Attributes:
        operation: what was tried, such as ``predict``.
        problem: the exception's type and place, or the kind of disagreement.
        detail: the traceback or the values.
    """

    operation: str
    problem: str
    detail: str

    @property
    def signature(self) -> str:
        """What makes two findings the same."""
        return f"{self.operation}: {self.problem}"


@dataclass
class Tally:
    """What happened to all models: outcomes by operation, and how far the models got by mutated message."""

    models: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    touched: Counter[tuple[str, str]] = field(default_factory=Counter)
    loaded: Counter[tuple[str, str]] = field(default_factory=Counter)
    predicted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add what another worker counted."""
        self.models += other.models
        for name in ("outcomes", "touched", "loaded", "predicted"):
            getattr(self, name).update(getattr(other, name))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` inside when the process has computed for so long."""

    def expire(*_: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGPROF, expire)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass(frozen=True)
class Outcome:
    """The outcome of an operation: a value, or the error that refused; and how much processor time it took."""

    value: Any = None
    error: RefCoreMLError | None = None
    failed: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None and not self.failed


class Check:
    """The way of one model through all operations."""

    def __init__(
        self, model: schema.Model, inputs: Mapping[str, Any], rng: random.Random, thorough: bool = False
    ) -> None:
        self.message, self.given, self.rng, self.thorough = model, inputs, rng, thorough
        self.findings: list[Finding] = []
        self.outcomes: list[tuple[str, str]] = []
        self.loaded = self.predicted = False

    def attempt(self, operation: str, function: Callable[[], Any]) -> Outcome:
        """Run an operation under the limit of time, and record the outcome."""
        started = time.process_time()
        try:
            with time_limit(SECONDS):
                outcome = Outcome(function())
        except InternalError as error:
            outcome = self._failure(operation, f"InternalError of {type(error.__cause__).__name__}", error)
        except RefCoreMLError as error:
            outcome = Outcome(error=error)
            if len(str(error)) > LONGEST_MESSAGE:
                outcome = self._failure(operation, f"message of {len(str(error))} characters", error)
        except (TimeUp, Exception) as error:
            outcome = self._failure(operation, type(error).__name__, error)
        if not outcome.failed and time.process_time() - started > SECONDS:
            self.report(operation, "slow", f"{time.process_time() - started:.1f} s")
        outcome = replace(outcome, seconds=time.process_time() - started)
        word = "ok" if outcome.ok else "finding" if outcome.failed else type(outcome.error).__name__
        self.outcomes.append((operation, word))
        return outcome

    def _failure(self, operation: str, what: str, error: BaseException) -> Outcome:
        cause = error.__cause__ if isinstance(error, InternalError) and error.__cause__ is not None else error
        frames = [f for f in traceback.extract_tb(cause.__traceback__) if "refcoreml" in f.filename]
        place = f"{frames[-1].filename.rpartition('refcoreml/')[2]}:{frames[-1].name}" if frames else "outside"
        detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.report(operation, f"{what} in {place}", detail)
        return Outcome(failed=True)

    def share(self, part: float) -> bool:
        """Return true for this share of all models; always, if the checks are to be thorough."""
        return self.rng.random() < part or self.thorough

    def report(self, operation: str, problem: str, detail: str) -> None:
        """Record a finding."""
        self.findings.append(Finding(operation, problem, detail[-8000:]))

    # --- the operations --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run everything cheap always, the rest for a share of the models."""
        rng, options = self.rng, {"custom_layers": CUSTOM_LAYERS, "custom_models": {"Doubler": Doubler}}
        data = self.message.SerializeToString()
        raw = self.attempt("read", lambda: refcoreml.load(data, prepare=False, **options))
        if not raw.ok:
            return
        model: refcoreml.Model = raw.value
        strict = self.attempt("load", model.prepare)
        lenient = self.attempt("load leniently", lambda: refcoreml.load(data, strict=False, **options))
        if strict.ok and not lenient.ok:
            self.report("load leniently", "refuses what strict takes", str(lenient.error))
        self.attempt("inspect", lambda: refcoreml.inspect(model).as_dict())
        if self.share(0.02):
            self.attempt("command inspect", lambda: _command(data, "inspect", *rng.choice([[], ["--json"]])))
        self.loaded = strict.ok
        predicted = self._predictions(model, strict, lenient, data, options)
        self._quantization(model, strict, data, options)
        if predicted is not None and self.share(0.3 if model.spec.description.metadata.userDefined else 0.05):
            how = rng.choice([None, *visualize.KINDS])
            for value in list(predicted.values())[:2]:
                self.attempt("preview", lambda v=value: visualize.draw(v, None, model.spec.description, kind=how))

    def _predictions(
        self, model: refcoreml.Model, strict: Outcome, lenient: Outcome, data: bytes, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        rng, found = self.rng, None
        if not lenient.ok:
            return None
        self.attempt("shapes", (model if strict.ok else lenient.value).shapes)
        inputs = make_inputs(model.inputs, self.given, rng)
        if inputs is None:
            self.outcomes.append(("predict", "not tried, too large"))
            return None
        if strict.ok:
            first = self.attempt("predict", lambda: model.predict(inputs))
            self.predicted, found = first.ok, first.value
            self._observed(model, inputs, first)
        else:
            first = Outcome(failed=True)
        if strict.ok != lenient.ok or self.share(0.25):
            second = self.attempt("predict leniently", lambda: lenient.value.predict(inputs))
            if not strict.ok:
                self._observed(lenient.value, inputs, second)
            elif first.ok and (not second.ok or not self._same(first.value, second.value)):
                self.report("predict leniently", "differs from strict", f"{first}\n{second}")
        if strict.ok and self.share(0.3):
            precision = rng.choice(["float16", "float64"])
            other = self.attempt(f"load {precision}", lambda: refcoreml.load(data, precision=precision, **options))
            if other.ok:
                third = self.attempt(f"predict {precision}", lambda: other.value.predict(inputs))
                self._observed(other.value, inputs, third)
        if strict.ok and self.share(0.3) and first.seconds < SECONDS / BOUNDS_COST:
            profile = rng.choice(list(PROFILES))
            judged = self.attempt(f"oracle {profile}", lambda: oracle(model, inputs, profile))
            if judged.ok and profile == "fp32":
                self._within(first, judged)
            if self.share(0.2):
                self.attempt("blob_answers", lambda: blob_answers(model, inputs, profile))
                self.attempt("layer_answers", lambda: list(layer_answers(model, inputs, profile)))
        return found if isinstance(found, dict) else None

    def _observed(self, model: refcoreml.Model, inputs: Mapping[str, Any], predicted: Outcome) -> None:
        """Compare a prediction with one with an observer, which runs every layer alone, and at times a trace."""
        if predicted.failed:
            return
        events: list[Any] = []

        def look(step: Any, arguments: Sequence[Any], results: Sequence[Any]) -> None:
            events.append([np.array(result) for result in results])
            if step.op.fresh and any(np.shares_memory(x, y) for x in arguments for y in results):
                self.report("observe", f"{step.kind} returns a view of an input, though it says that it never does", "")

        seen = self.attempt("observe", lambda: model.observe(inputs, look))
        if not seen.failed:
            self._agree("observe", predicted, seen, "predict")
        if self.share(0.5) and not seen.failed:
            traced: list[Any] = []

            def walk() -> None:
                for layer in model.trace(inputs):
                    traced.append([np.array(result) for result in layer.outputs.values()])

            walked = self.attempt("trace", walk)
            if seen.ok and not walked.failed and not walked.ok:
                self.report("trace", "refuses what observe takes", str(walked.error))
            elif walked.ok and not self._same(events, traced):
                self.report("trace", "numbers differ from observe's", f"{len(events)} and {len(traced)} layers")

    def _within(self, predicted: Outcome, judged: Outcome) -> None:
        """Compare a prediction in single precision with the oracle's bounds."""
        if not predicted.ok:
            if not predicted.failed:
                self.report("oracle fp32", "takes what predict refuses", str(predicted.error))
            return
        for name, answer in judged.value.items():
            value = predicted.value[name]
            if not isinstance(value, np.ndarray):
                continue
            with np.errstate(all="ignore"):
                y = np.asarray(value, np.float64)
                fits = y.shape == answer.value.shape
                right = fits and ((y == answer.value) | ~(np.abs(y - answer.value) > answer.bound)).all()
            if not right:
                self.report("oracle fp32", "prediction outside of the bound", f"{value}\n{answer}")

    def _agree(self, operation: str, one: Outcome, other: Outcome, name: str) -> None:
        if one.ok != other.ok:
            which = name if one.ok else operation
            self.report(operation, f"only {which} computes", f"{one.value} {one.error}\n{other.value} {other.error}")
        elif one.ok and not self._same(one.value, other.value):
            self.report(operation, f"numbers differ from {name}'s", f"{one.value}\n{other.value}")
        elif not one.ok and (type(one.error), str(one.error)) != (type(other.error), str(other.error)):
            kind = "refusals" if type(one.error) is not type(other.error) else "words of the refusals"
            self.report(operation, f"{kind} differ from {name}'s", f"{one.error!r}\n{other.error!r}")

    def _same(self, one: Any, other: Any) -> bool:
        return is_random(self.message) or same(one, other)

    def _quantization(self, model: refcoreml.Model, strict: Outcome, data: bytes, options: Mapping[str, Any]) -> None:
        rng = self.rng
        tensors = self.attempt("weight_tensors", lambda: weight_tensors(model))
        if strict.ok and not tensors.ok and not tensors.failed:
            self.report("weight_tensors", "refuses what load takes", str(tensors.error))
        if not tensors.value and not self.share(0.1):
            return
        for tensor in tensors.value or ():
            self.attempt("values", tensor.values)
        if self.share(0.4):
            bits = rng.choice([1, 2, 4, 7, 8, 8, 16, 32])
            mode = rng.choice(_MODES if bits > 1 else ["linear", "kmeans"])
            how = rng.choice([{}, {}, {"fit": "mse"}, {"fit": ("percentile", 99.0)}, {"compatible": "coremltools"}])
            how = how if mode.startswith("linear") and mode != "linear_lut" else {}
            made = self.attempt("quantize_weights", lambda: quantize_weights(model, bits, mode, **how))
            if made.ok:
                self.attempt("weight_changes", lambda: weight_changes(model, made.value))
            if made.ok and strict.ok:
                again = self.attempt("load quantized", made.value.prepare)
                if not again.failed and not again.ok:
                    self.report("load quantized", "refused", str(again.error))
        if self.share(0.1):
            self.attempt("dequantize_weights", lambda: dequantize_weights(model))


def _command(data: bytes, *arguments: str) -> None:
    """Run a command on the model, without the handler that makes an exit code of every exception."""
    with tempfile.NamedTemporaryFile(suffix=".mlmodel") as file, contextlib.redirect_stdout(io.StringIO()):
        file.write(data)
        file.flush()
        options = parser().parse_args([*arguments, file.name])
        options.run(options)


def make_inputs(features: Sequence[Feature], given: Mapping[str, Any], rng: random.Random) -> dict[str, Any] | None:
    """Return values for all inputs: the seed's own where they fit, else small ones; None if they would be too large."""
    values = {}
    for feature in features:
        if feature.optional and rng.random() < 0.5:
            continue
        own = given.get(feature.name)
        if own is not None and feature.kind == "array" and not feature.shapes.problem(own.shape) and rng.random() < 0.9:
            values[feature.name] = own
            continue
        value = _value(feature, rng)
        if value is None:
            return None
        values[feature.name] = value
    return values


def _value(feature: Feature, rng: random.Random) -> Any:
    number = rng.choice([0, 1, 2, -1, 3])
    if feature.kind == "int64":
        return number
    if feature.kind == "double":
        return rng.choice([float(number), 0.5, float("nan"), 1e30])
    if feature.kind in ("array", "image", "state"):
        shape = feature.shapes.default
        shape = (3,) if shape is None else shape
        if any(n < 1 for n in shape) or np.prod([float(n) for n in shape]) > LARGEST_INPUT:
            return None
        if feature.kind == "image":
            pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (shape[1], shape[0], 3))
            picture = Image.fromarray(pixels.astype(np.uint8), "RGB")
            wanted = {"Grayscale": "L", "Grayscale Float16": "F"}.get(feature.element)
            return picture.convert(wanted) if wanted else picture
        values = hostile_array(rng, shape)
        return np.trunc(np.nan_to_num(values, posinf=3, neginf=-3)) % 100 if "Int" in feature.element else values
    keys: list[Any] = [0, 1, 2] if feature.element == "Int64" else ["a", "b"]
    return {"string": "a", "dictionary": dict.fromkeys(keys, 0.5), "sequence": keys}[feature.kind]


def same(one: Any, other: Any) -> bool:
    """Return whether two results are equal in type, shape and every bit, any NaN counting as the other."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Image.Image):
        return one.mode == other.mode and same(np.asarray(one), np.asarray(other))
    if isinstance(one, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        if one.dtype.kind != "f":
            return bool((one == other).all())
        nan = np.isnan(one)
        return bool(
            (nan == np.isnan(other)).all()
            and ((one == other) | nan).all()
            and (np.signbit(one) == np.signbit(other))[~nan].all()
        )
    return bool(one == other or (one != one and other != other))


def prepare_process() -> None:
    """Limit the memory and work of models, and turn NumPy's warnings inside the package into findings.

    Warnings of the package itself, about models, are expected.
    """
    os.environ.update(LIMITS)
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", category=RuntimeWarning, module="refcoreml")
    warnings.filterwarnings("ignore", message="invalid value encountered in matmul", category=RuntimeWarning)
