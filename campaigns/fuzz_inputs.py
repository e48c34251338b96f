"""Odd inputs by the ten thousand: ``python -m campaigns.fuzz_inputs --count 50000 --seed 1 --jobs 2``.

Each call of a public function gets good arguments, some of which are replaced by odd values (`campaigns.odd_values`),
or by the same array in another form. It returns, or raises one of the errors that it may raise, within two seconds and
the memory of a worker. A prediction from an array must be that from a plain copy of the array. Commands get files
that are cut, patched or made up, and must not end with the exit code for faults of refcoreml.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import re
import reprlib
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import refcoreml
from campaigns import workers
from campaigns.checks import LONGEST_MESSAGE, SECONDS, Finding, TimeUp, time_limit
from campaigns.odd_values import OddValues, disguised
from refcoreml import build, visualize
from refcoreml.cli import main as command_line
from refcoreml.cli.exits import INTERNAL
from refcoreml.errors import (
    CallbackError,
    InputError,
    InternalError,
    InvalidModelError,
    MalformedModelError,
    RefCoreMLError,
    UnsupportedModelError,
    UsageError,
)
from refcoreml.features import check_inputs, prepare_image
from refcoreml.oracle import layer_answers, oracle
from refcoreml.quantization import selectors, weight_changes, weight_tensors
from refcoreml.reporting.samples import read_labels
from refcoreml.testing import assert_equivalent
from refcoreml.testing.equivalence import EquivalenceError

#: The least share of calls that return, and that refuse, in all and (of many) for each function.
LEAST_SHARE = 0.03
#: How many calls of a function are many.
MANY = 200
#: Characters that no error and no output may hold.
_STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Call = Callable[..., Any]


class Doubler:
    """A custom model of all kinds of inputs, which gives one of them back."""

    def __init__(self, description: Any, parameters: Mapping[str, Any]) -> None:
        pass

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the length of the dictionary."""
        return {"y": float(len(inputs.get("dictionary", ())))}


def _models() -> dict[str, Any]:
    """Return a model for each way in which inputs are read."""
    made = {}
    net = build.Network({"x": (2, 3)}, ["y"], exact=True)
    net.add("activation", outputs="y", ReLU={})
    made["array"] = net.model()
    net = build.Network({"x": (3,)}, ["y"])
    net.add(
        "innerProduct",
        name="fc",
        outputs="y",
        weights=np.eye(4, 3, dtype=np.float32) / 3,
        input_channels=3,
        output_channels=4,
    )
    made["legacy"] = net.model()
    net = build.Network({"x": (30,)}, ["y"])
    weights = np.random.default_rng(1).normal(size=(40, 30)).astype(np.float32)
    net.add("innerProduct", name="fc", outputs="y", weights=weights, input_channels=30, output_channels=40)
    made["dense"] = net.model()
    for data_type in ("INT32", "DOUBLE", "FLOAT16"):
        net = build.Network({"x": build.array(2, 3, data_type=data_type)}, ["y"], exact=True)
        net.add("activation", outputs="y", ReLU={})
        made[data_type] = net.model()
    for kind in ("RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"):
        net = build.Network({"x": build.image(6, 4, kind)}, ["y"])
        net.add("activation", outputs="y", linear={"alpha": 1.0})
        made[kind] = net.model()
    net = build.Network({"x": (3,)}, ["p"], classes=["a", "b", "c"])
    net.add("softmax", outputs="p")
    made["classifier"] = net.model()
    net = build.Network({"x": (2, 3)}, ["y"], exact=True)
    net.add("activation", outputs="y", ReLU={})
    spec = net.spec()
    array = spec.description.input[0].type.multiArrayType
    array.ClearField("shape")
    for _ in range(2):
        array.shapeRange.sizeRanges.add(lowerBound=1, upperBound=-1)
    made["flexible"] = refcoreml.load(spec)
    made["open"] = refcoreml.load(_undeclared(net))
    made["glm"] = refcoreml.load(_glm())
    made["custom"] = refcoreml.load(_custom(), custom_models={"Odd": Doubler})
    return made


def _undeclared(net: build.Network) -> Any:
    spec = net.spec()
    spec.description.input[0].type.multiArrayType.ClearField("shape")
    return spec


def _glm() -> Any:
    spec = refcoreml.spec.schema.Model(specificationVersion=1)
    for name, kind in (("a", "doubleType"), ("b", "int64Type")):
        getattr(spec.description.input.add(name=name).type, kind).SetInParent()
    spec.description.output.add(name="y").type.doubleType.SetInParent()
    spec.description.predictedFeatureName = "y"
    spec.glmRegressor.weights.add(value=[2.0, 3.0])
    spec.glmRegressor.offset.append(1.0)
    return spec


def _custom() -> Any:
    spec = refcoreml.spec.schema.Model(specificationVersion=4)
    kinds = {
        "dictionary": {"dictionaryType": {"stringKeyType": {}}},
        "numbers": {"dictionaryType": {"int64KeyType": {}}},
    }
    kinds |= {"sequence": {"sequenceType": {"int64Type": {}}}, "texts": {"sequenceType": {"stringType": {}}}}
    kinds |= {"text": {"stringType": {}}, "number": {"doubleType": {}}}
    for name, fields in kinds.items():
        build.fill(spec.description.input.add(name=name).type, {**fields, "isOptional": True}, name)
    spec.description.output.add(name="y").type.doubleType.SetInParent()
    spec.customModel.className = "Odd"
    return spec


def good_inputs(name: str, rng: random.Random) -> dict[str, Any]:
    """Return inputs that a model takes."""
    numbers = np.array([rng.randint(-9, 9) for _ in range(72)], np.float32)
    if name in ("array", "flexible", "open", "INT32", "DOUBLE", "FLOAT16"):
        return {"x": numbers[:6].reshape(2, 3)}
    if name in ("legacy", "classifier"):
        return {"x": numbers[:3]}
    if name == "dense":
        return {"x": numbers[:30]}
    if name in ("RGB", "BGR"):
        return {"x": Image.fromarray(np.abs(numbers).astype(np.uint8).reshape(4, 6, 3))}
    if name == "GRAYSCALE":
        return {"x": Image.fromarray(np.abs(numbers[:24]).astype(np.uint8).reshape(4, 6))}
    if name == "GRAYSCALE_FLOAT16":
        return {"x": Image.fromarray(numbers[:24].reshape(4, 6))}
    if name == "glm":
        return {"a": 0.5, "b": 3}
    return {"dictionary": {"a": 1.0}, "numbers": {3: 1}, "sequence": [1, 2], "texts": ["a"], "text": "b", "number": 2}


@dataclass
class Tally:
    """The outcomes of calls, by function; and the first of each kind of finding, by number."""

    calls: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: dict[str, tuple[int, Finding]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, index: int, finding: Finding) -> None:
        """Add a finding."""
        self.counts[finding.signature] += 1
        self.found.setdefault(finding.signature, (index, finding))

    def add(self, other: Tally) -> None:
        """Add what another worker counted."""
        self.calls += other.calls
        self.outcomes.update(other.outcomes)
        for signature, found in other.found.items():
            self.found.setdefault(signature, found)
            self.counts[signature] += other.counts[signature]


class Inputs:
    """The calls of a campaign, by number."""

    #: How often each function is tried, by its name: those that read the most kinds of values the most.
    SHARES: Mapping[str, int] = {
        "predict": 30,
        "predict a batch": 6,
        "trace": 5,
        "shapes": 6,
        "check_inputs": 6,
        "prepare_image": 4,
        "oracle": 5,
        "layer_answers": 2,
        "compare_models": 6,
        "compare_layers": 4,
        "study": 2,
        "quantize_weights": 8,
        "weight_changes": 1,
        "weight_tensors": 1,
        "selectors": 4,
        "draw": 6,
        "assert_equivalent": 5,
        "build a network": 4,
        "build a layer": 8,
        "load": 4,
        "read_labels": 2,
        "files": 8,
    }

    def __init__(self, seed: str, folder: Path) -> None:
        self._seed, self._folder = seed, folder
        self._models = _models()
        self._paths = {}
        for name in ("array", "legacy", "classifier", "RGB", "custom"):
            self._paths[name] = folder / f"{name}.mlmodel"
            self._models[name].save(self._paths[name])
        self._functions = [name for name, share in self.SHARES.items() for _ in range(share)]
        self._rng, self._odd, self._function = random.Random(), OddValues(random.Random()), ""

    def check(self, index: int, tally: Tally) -> None:
        """Make the call of a number and judge its outcome."""
        self._rng = random.Random(f"{self._seed}:{index}")
        self._odd = OddValues(self._rng, ["x", "y", "a", "dictionary", "fc"])
        self._function = self._rng.choice(self._functions)
        tally.calls += 1
        made: list[Any] = []
        try:
            word, finding = self._judged(made)
        except TimeUp as error:
            word, finding = "finding", self._finding("TimeUp", error, made)
        tally.outcomes[(self._function, word)] += 1
        if finding is not None:
            tally.note(index, finding)

    def _judged(self, made: list[Any]) -> tuple[str, Finding | None]:
        call, allowed = self._make()
        made.append(call)
        started = time.process_time()
        try:
            with time_limit(2 * SECONDS):
                call()
            word, finding = "returned", None
        except RefCoreMLError as error:
            word, finding = type(error).__name__, self._of_message(error, made)
            if not isinstance(error, (InputError, UsageError, *allowed)) or isinstance(error, InternalError):
                finding = self._finding(f"{type(error).__name__} is not the user's fault", error, made)
        except EquivalenceError as error:
            word, finding = "EquivalenceError", self._finding("EquivalenceError", error, made)
            finding = None if self._function == "assert_equivalent" else finding
        except (TimeUp, Exception) as error:
            word, finding = "finding", self._finding(type(error).__name__, error, made)
        seconds = time.process_time() - started
        if finding is None and seconds > SECONDS:
            finding = Finding(self._function, "slow", f"{seconds:.1f} s, {word}\n{_shown(made)}")
        return ("finding" if finding else word), finding

    def _of_message(self, error: RefCoreMLError, made: list[Any]) -> Finding | None:
        text = str(error)
        if len(text) > LONGEST_MESSAGE:
            return self._finding("a long message", error, made)
        if _STEERS.search(text) or not error.problem:
            return self._finding("a message that steers", error, made)
        return None

    def _finding(self, kind: str, error: BaseException, made: list[Any]) -> Finding:
        frames = [
            f
            for f in traceback.extract_tb(error.__traceback__)
            if "refcoreml" in f.filename or "campaigns" in f.filename
        ]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return Finding(self._function, f"{kind} in {place}", f"{_shown(made)}\n{''.join(lines)[-4000:]}")

    # --- arguments -----------------------------------------------------------------------------------------------

    def _any(self) -> Any:
        return self._odd.any()

    def _sometimes(self, good: Any, share: float = 0.4) -> Any:
        """Return a good argument, or an odd one in its place."""
        return self._any() if self._rng.random() < share else good

    def _inputs(self, name: str) -> Any:
        """Return inputs of a model, some of them odd, or in another form."""
        rng, inputs = self._rng, good_inputs(name, self._rng)
        if rng.random() < 0.05:
            return self._any()
        key = rng.choice(list(inputs))
        how = rng.random()
        if how < 0.15 and isinstance(inputs[key], np.ndarray):
            inputs[key] = disguised(rng, inputs[key])
        elif how < 0.75:
            inputs[key] = self._any()
        elif how < 0.85:
            inputs[self._rng.choice([self._odd.scalar, self._odd.text])() if rng.random() < 0.9 else "X"] = 1
        elif how < 0.9:
            inputs = self._odd.mapping()
        return inputs

    def _model(self) -> tuple[str, Any]:
        name = self._rng.choice(list(self._models))
        return name, self._models[name]

    def _options(self, **good: Any) -> dict[str, Any]:
        """Return some of the options of a function, one or two of them odd."""
        rng = self._rng
        chosen = {name: value for name, value in good.items() if rng.random() < 0.4}
        for name in rng.sample(list(good), rng.choice([0, 1, 1, 2])):
            chosen[name] = self._any()
        return chosen

    def _make(self) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
        """Return a call of the chosen function, and what it may raise besides what is the user's fault."""
        while True:
            try:
                made = getattr(self, "_" + self._function.replace(" ", "_"))()
            except (TypeError, AttributeError, ValueError, KeyError):  # a dict of good inputs that takes no such key
                continue
            return made if isinstance(made, tuple) else (made, ())

    # --- functions -----------------------------------------------------------------------------------------------

    def _predict(self) -> Any:
        name, model = self._model()
        inputs = self._inputs(name)
        return partial(self._predicted, name, model, inputs)

    def _predicted(self, name: str, model: Any, inputs: Any) -> None:
        found = model.predict(inputs)
        if (
            name in ("array", "DOUBLE", "INT32")
            and type(inputs) is dict
            and type(inputs.get("x")) in (list, tuple, np.ndarray)
        ):
            expected = np.maximum(np.array(inputs["x"], np.float32), 0)
            assert np.array_equal(found["y"], expected, equal_nan=True), f"{found['y']} is not {expected}"

    def _predict_a_batch(self) -> Any:
        name, model = self._model()
        batch = [self._inputs(name) if self._rng.random() < 0.4 else good_inputs(name, self._rng) for _ in range(3)]
        return partial(model.predict, self._sometimes(batch, 0.1))

    def _trace(self) -> Any:
        name, model = self._model()
        inputs = self._inputs(name)
        return lambda: list(model.trace(inputs))

    def _shapes(self) -> Any:
        _, model = self._model()
        shape = self._rng.choice([(2, 3), (1, 1, 3, 1, 1), (3,), (1, 7), self._odd.shape(), self._any()])
        inputs = self._rng.choice([{"x": shape}, {"x": shape}, {"x": self._any()}, self._odd.mapping(), self._any()])
        return partial(model.shapes, inputs), (InvalidModelError,)

    def _check_inputs(self) -> Any:
        name, model = self._model()
        return partial(check_inputs, model.inputs, self._inputs(name), legacy_ranks=self._rng.random() < 0.3)

    def _prepare_image(self) -> Any:
        _, model = self._model()
        picture = self._rng.choice([self._odd.picture(), self._odd.picture(), self._any()])
        resize = self._sometimes(self._rng.choice(["fill", "fit", "crop", None]), 0.2)
        return partial(prepare_image, picture, model.inputs[0], resize)

    def _oracle(self) -> Any:
        name = self._rng.choice(["array", "legacy", "RGB", "classifier", "glm", "flexible"])
        options = self._options(profile=self._rng.choice(["fp32", "fp16/acc32", "fp16/acc16"]))
        return partial(oracle, self._models[name], self._inputs(name), **options), (UnsupportedModelError,)

    def _layer_answers(self) -> Any:
        name = self._rng.choice(["array", "legacy", "classifier"])
        inputs = self._inputs(name)
        return lambda: list(layer_answers(self._models[name], inputs))

    def _data(self, name: str) -> Any:
        rng = self._rng
        samples: list[Any] = [good_inputs(name, rng) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.6:
            samples[rng.randrange(len(samples))] = rng.choice([self._inputs(name), (self._inputs(name), self._any())])
        forms = [samples, samples, samples, tuple(samples), iter(samples), (s for s in samples), self._any()]
        return rng.choice(forms)

    def _compare_models(self) -> Any:
        name, model = self._model()
        options = self._options(labels=["a"], resize="fill", skip_broken=True, scores=["y"], top=[1, 2])
        return partial(refcoreml.compare_models, model, model, _bounded(self._data(name)), **options)

    def _compare_layers(self) -> Any:
        name = self._rng.choice(["array", "legacy", "RGB", "classifier", "glm"])
        model = self._models[name]
        return partial(
            refcoreml.compare_layers, model, model, _bounded(self._data(name)), **self._options(resize="fill")
        )

    def _study(self) -> Any:
        good_data = [good_inputs("dense", self._rng)]
        data = good_data if self._rng.random() < 0.6 else _bounded(self._data("dense"))
        good = {"bits": [8, 32], "modes": ["linear"], "labels": None, "scores": [], "top": [2], "select": ["matrices"]}
        options = self._options(**good, sensitivity=[8], budget=0.9, floor=0.5, directory=None)
        if self._rng.random() < 0.3:
            options = {}
        options.setdefault("bits", [4])
        options.setdefault("modes", ["linear"])
        if issubclass(type(options.get("directory")), (str, bytes, Path)):
            options["directory"] = self._folder / "study"
        return partial(refcoreml.study, self._models["dense"], data, **options)

    def _quantize_weights(self) -> Any:
        good = {"nbits": 8, "mode": "kmeans", "plan": {"fc": (8, "linear")}, "fit": "mse", "compatible": "coremltools"}
        good |= {"selector": selectors.matrices, "sensitivity": {"fc.weights": np.ones((4, 3))}}
        options = self._options(**good, lut_function=lambda bits, weights: (np.arange(2**bits), weights * 0))
        if "plan" in options and self._rng.random() < 0.5:
            options["plan"] = {"fc": self._rng.choice([self._any(), (self._any(), "linear"), (8, self._any())])}
        if "sensitivity" in options and self._rng.random() < 0.5:
            options["sensitivity"] = {"fc.weights": self._any()}
        options.setdefault("nbits", 8)
        return partial(refcoreml.quantize_weights, self._models["legacy"], **options), (CallbackError,)

    def _weight_changes(self) -> Any:
        model = self._models["legacy"]
        return partial(weight_changes, *(self._sometimes(model) for _ in range(2))), _FILE_ERRORS

    def _weight_tensors(self) -> Any:
        return partial(weight_tensors, self._sometimes(self._models["legacy"])), _FILE_ERRORS

    def _selectors(self) -> Any:
        rng = self._rng
        tensors, odd, matrices = weight_tensors(self._models["legacy"]), rng.random() < 0.6, selectors.matrices
        value = self._any() if odd else 4
        text = value if odd else "*"
        chosen = rng.choice(
            [
                lambda: selectors.parse(text if odd else rng.choice(["count>=4", "name=fc*"])),
                lambda: selectors.by_name(text),
                lambda: selectors.by_kind(text),
                lambda: selectors.by_field(text),
                lambda: selectors.at_least(count=value),
                lambda: selectors.at_most(channels=value),
                lambda: matrices & value if odd else matrices | selectors.everything,
            ]
        )
        return (lambda: [chosen()(tensor) for tensor in tensors]), (CallbackError,)

    def _draw(self) -> Any:
        rng, description = self._rng, self._models["array"].spec.description
        good = [np.zeros((1, 3, 4, 6)), np.ones((4, 6), np.int32), {"a": 0.5}, "a", Image.new("RGB", (6, 4))]
        value = rng.choice(
            [*good, self._any(), self._any(), self._odd.array(), self._odd.mapping(), self._odd.picture()]
        )
        kind = self._sometimes(rng.choice([*visualize.KINDS, None]), 0.2)
        photo = rng.choice([None, None, Image.new("L", (60, 40)), self._odd.picture(), self._any()])
        return partial(visualize.draw, value, photo, description, kind=kind)

    def _assert_equivalent(self) -> Any:
        model, x = self._models["array"], np.array([[1, -2, 3], [4, 5, -6]], np.float32)
        outputs = np.maximum(x, 0)
        forms = [outputs, {"y": outputs}, [outputs], lambda *_: outputs, {"y": self._any()}, [self._any()], self._any()]
        answer = self._any()
        reference = self._rng.choice([*forms, lambda *_: answer])
        inputs = self._sometimes({"x": self._sometimes(x, 0.3)}, 0.1)
        options = self._options(reference_inputs=[x], folded=0.0)
        return partial(assert_equivalent, model, reference, inputs, **options), (CallbackError,)

    def _build_a_network(self) -> Any:
        rng = self._rng
        options: dict[str, Any] = {"inputs": {"x": self._sometimes((3,), 0.2)}, "outputs": ["y"]}
        options |= {"classes": ["a", "b"]} if rng.random() < 0.3 else {"regressor": rng.random() < 0.3, "exact": True}
        if rng.random() < 0.5:
            options[rng.choice(["inputs", "outputs", "classes", "regressor", "exact"])] = self._any()
        name, shape = self._sometimes("x", 0.15), self._sometimes(3, 0.15)

        def call() -> None:
            net = build.Network(**options)
            net.add("activation", outputs="y", ReLU={})
            net.preprocess(name, channel_scale=shape)
            build.array(shape)
            build.image(shape, shape)
            net.spec()

        return call

    def _build_a_layer(self) -> Any:
        rng = self._rng
        kinds = {
            "innerProduct": {"weights": np.eye(3), "bias": np.ones(3), "input_channels": 3, "has_bias": True},
            "convolution": {"kernel_size": [3, 3], "weights": np.ones((1, 3, 3, 3)), "valid": {}, "output_channels": 1},
            "custom": {
                "class_name": "A",
                "parameters": {"a": 1, "b": "x"},
                "weights": [[1.0, 2.0]],
                "description": "d",
            },
            "activation": {"ReLU": {}, "leakyReLU": {"alpha": 0.5}, "PReLU": {"alpha": [1.0, 2.0]}},
            "padding": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 1}]}, "constant": {"value": 1.0}},
        }
        kind = rng.choice(list(kinds))
        fields = self._options(**kinds[kind], name="a", inputs=["x"], outputs=["y"])
        if rng.random() < 0.2:
            fields = {**fields, rng.choice(["\x1b[2J", "bias", "n_groups", "isOutput"]): self._any()}
        net = build.Network({"x": (3,)}, ["y"])
        return partial(net.add, self._sometimes(kind, 0.1), **fields)

    def _load(self) -> Any:
        spec = self._models["legacy"].spec
        good = {"precision": "float16", "strict": False, "prepare": False, "custom_layers": {}, "custom_models": {}}
        source = self._rng.choice([spec, spec.SerializeToString(), self._paths["legacy"], self._any(), self._any()])
        return partial(refcoreml.load, source, **self._options(**good)), _FILE_ERRORS

    def _read_labels(self) -> Any:
        path = self._file(self._rng.choice(["json", "csv", "npy", "txt"]))
        return partial(read_labels, self._sometimes(path, 0.2))

    def _files(self) -> Any:
        rng = self._rng
        name = rng.choice(["array", "legacy", "RGB", "classifier", "legacy"])
        model, ending = self._paths[name], rng.choice(["npy", "npz", "json"]) if name != "RGB" else "png"
        path, plan, labels, archive = self._file(ending), *map(self._file, ("json", "csv", "npz"))
        given = rng.choice([f"x={path}", f"x={path}", f"{path}", f"x={_words(rng)}", f"{_words(rng)}={path}"])
        target = self._folder / f"out.{rng.choice(['npz', 'npz', 'npz', 'png', 'txt'])}"
        commands = [
            ["predict", model, "-i", given, "-o", target],
            ["predict", model, "-i", given, "--resize", "fill", "--json"],
            ["trace", model, "-i", given],
            ["oracle", model, "-i", given],
            ["preview", model, "-i", given, "-o", self._folder / "out.png", "--photo", path],
            ["quantize", self._paths["legacy"], "--plan", plan, "-o", self._folder / "out.mlmodel"],
            ["quantize", model, "--bits", "4", "--select", _words(rng), "-o", self._folder / "out.mlmodel"],
            ["compare", model, model, "--data", archive],
            ["compare", self._paths["array"], self._paths["array"], "--data", self._good_archive(), "--labels", labels],
            ["compare", model, model, "--images", path, "--layers"],
            ["predict", model, "-i", "x=1,2,3", "--custom", path],
            ["inspect", rng.choice([path, _words(rng)])],
        ]
        return partial(_command, [str(part) for part in rng.choice(commands)])

    def _good_archive(self) -> Path:
        path = self._folder / "good.npz"
        if not path.exists():
            np.savez(path, x=np.ones((2, 3), np.float32))
        return path

    def _file(self, ending: str) -> Path:
        """Return a file of data, most of them cut or patched."""
        rng, file = self._rng, io.BytesIO()
        good = rng.choice(
            [np.ones(3, np.float32)] * 3 + [np.ones((2, 3)), np.arange(3), np.array(["a", "b"]), np.ones(())]
        )
        if ending == "npy":
            np.save(file, good)
        elif ending == "npz":
            names = rng.choice([["x"], ["x"], ["x", "y"], ["file"], ["dictionary"], []])
            with zipfile.ZipFile(file, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
                for name in names:
                    part = io.BytesIO()
                    np.save(part, good)
                    archive.writestr(f"{name}.npy", part.getvalue())
        elif ending == "png":
            Image.new("RGB", (6, 4)).save(file, "PNG")
        else:
            texts = [
                *["[1, 2, 3]", '{"fc": [8, "linear"]}', "a\nb\n", "a,1\nb,2\n"] * 4,
                "[1, 2, 3]",
                '{"x": [1, 2, 3]}',
                '{"dictionary": {"a": 1}}',
                '{"fc": [8, "linear"]}',
                "a,1\nb,2",
                "a\nb\n",
            ]
            texts += ["[" * 100_000, '{"a":' * 5000, "9" * 6000, '"\\ud800"', "null", "1e999", "[NaN, Infinity]", ""]
            texts += [
                '{"fc": [[], {}]}',
                '{"fc": "linear"}',
                '{"1": 2}',
                '["\\u001b[2J"]',
                '"a\n',
                "a,b,c\n",
                '{"x": {"x": 1}}',
            ]
            file.write(rng.choice(texts).encode())
        content = bytearray(file.getvalue())
        if rng.random() < 0.5:
            for _ in range(rng.randint(1, 3)):
                way = rng.random()
                if way < 0.3:
                    del content[rng.randrange(len(content) + 1) :]
                elif way < 0.8 and content:
                    content[rng.randrange(len(content))] = rng.randrange(256)
                else:
                    place = rng.randrange(len(content) + 1)
                    content[place:place] = rng.randbytes(rng.randrange(9))
        path = self._folder / f"odd.{ending}"
        path.write_bytes(content)
        return path


_FILE_ERRORS = (MalformedModelError, InvalidModelError, UnsupportedModelError, CallbackError)


def _words(rng: random.Random) -> str:
    words = [
        "x",
        "1",
        "1,2,3",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\x1b[2J",
        "count",
        ">=",
        "kind",
        "*",
        "\ud800",
        "é",
        "..",
        "/",
        "nan",
        "0",
    ]
    return "".join(rng.choice(words) for _ in range(rng.randint(1, 5)))


def _bounded(data: Any) -> Any:
    """Return the data, but not what truly never ends: nobody can tell such an iterator from a long one."""
    return itertools.islice(data, 100) if isinstance(type(data), type) and type(data) is itertools.count else data


def _command(arguments: Sequence[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command_line(arguments)
    said = out.getvalue() + err.getvalue()
    assert code != INTERNAL, err.getvalue()
    assert code in (0, 1, 2, 3, 4, 5), f"exit code {code}"
    assert not _STEERS.search(said), "the output steers a terminal"
    if code:
        raise UsageError(f"exit code {code}")


def _shown(made: list[Any]) -> str:
    """Return the arguments of a call, as far as they can be shown."""
    with io.StringIO() as text:
        for call in made:
            for part in [*getattr(call, "args", ()), *getattr(call, "keywords", {}).items(), *_closed_over(call)]:
                try:
                    text.write(f"  {type(part).__name__[:80]}: {reprlib.repr(part)}"[:600] + "\n")
                except Exception as error:
                    text.write(f"  a {type(part).__name__[:80]} that raises {type(error).__name__}\n")
        return text.getvalue().encode("ascii", "backslashreplace").decode()


def _closed_over(call: Any) -> Iterator[Any]:
    for cell in getattr(call, "__closure__", None) or ():
        yield cell.cell_contents


def make_work(seed: str) -> workers.Work:
    """Return what a worker does: the calls of a range."""
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = 1 << 27
    folder = Path(tempfile.mkdtemp(prefix="campaign-inputs-"))
    os.chdir(folder)
    inputs, memory = Inputs(seed, folder), workers.Memory()

    def work(chunk: range, begin: Callable[[int], None]) -> Tally:
        tally = Tally()
        for index in chunk:
            begin(index)
            inputs.check(index, tally)
            grown = memory.grown()
            if grown:
                tally.note(index, Finding("memory", "grew", f"{grown >> 20} MiB"))
        return tally

    return work


def run(count: int, seed: str, jobs: int, say: Callable[[str], None] = print) -> Tally:
    """Run a campaign."""
    tally, started = Tally(), time.monotonic()
    said = started
    for part in workers.run(partial(make_work, seed), count, jobs):
        known = set(tally.found)
        if isinstance(part, workers.Ended):
            tally.calls += 1
            tally.note(part.index, Finding("worker", part.how, part.detail))
        else:
            tally.add(part)
        for signature in tally.found.keys() - known:
            say(f"number {tally.found[signature][0]}: {signature}")
        if time.monotonic() - said > 15:
            said = time.monotonic()
            say(_progress(tally, count, said - started))
    say(_progress(tally, count, time.monotonic() - started))
    return tally


def _progress(tally: Tally, count: int, seconds: float) -> str:
    rate = tally.calls / max(seconds, 1e-9)
    return f"{tally.calls:,} of {count:,} calls in {seconds:.0f} s ({rate:.0f}/s), {len(tally.found)} kinds of findings"


def table(tally: Tally) -> str:
    """Return what happened, by function."""
    words = sorted({word for _, word in tally.outcomes}, key=lambda word: (word != "returned", word == "finding", word))
    lines = ["".join([f"{'function':20}", *(f"{word:>{max(len(word) + 2, 10)}}" for word in words)])]
    for function in Inputs.SHARES:
        cells = [f"{tally.outcomes[(function, word)]:>{max(len(word) + 2, 10)},}" for word in words]
        lines.append("".join([f"{function:20}", *cells]))
    return "\n".join(lines)


def shortcomings(tally: Tally) -> list[str]:
    """Return why a run without findings would say nothing."""
    found = []
    for function in [None, *Inputs.SHARES]:
        outcomes = [(word, n) for (name, word), n in tally.outcomes.items() if function in (None, name)]
        count, returned = sum(n for _, n in outcomes), sum(n for word, n in outcomes if word == "returned")
        if count < (1 if function is None else MANY):
            continue
        for what, part in (("return", returned), ("are refused", count - returned)):
            if part < LEAST_SHARE * count:
                found.append(f"only {part} of {count} calls of {function or 'all functions'} {what}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; 0 only if there was no finding and enough was tried."""
    parser = workers.arguments("campaigns.fuzz_inputs", str(__doc__), "calls")
    parser.add_argument("--replay", type=int, nargs="+", metavar="NUMBER", help="make only the calls of these numbers")
    given = parser.parse_args(arguments)
    if given.replay:
        work, tally = make_work(given.seed), Tally()
        for number in given.replay:
            tally.add(work(range(number, number + 1), lambda _: None))
    else:
        tally = run(given.count, given.seed, given.jobs)
    print(table(tally))
    missing = [] if given.replay else shortcomings(tally)
    for signature, (index, finding) in sorted(tally.found.items(), key=lambda item: -tally.counts[item[0]]):
        print(f"{tally.counts[signature]} x {signature} (number {index})")
        if given.replay:
            print(finding.detail)
    if tally.found and not given.replay:
        given.output.mkdir(parents=True, exist_ok=True)
        found = {
            signature: {"index": index, "detail": finding.detail} for signature, (index, finding) in tally.found.items()
        }
        (given.output / "inputs.json").write_text(json.dumps(found, indent=1) + "\n")
    for line in missing:
        print(line)
    return int(bool(tally.found or missing))


if __name__ == "__main__":
    sys.exit(main())
