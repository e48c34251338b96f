"""A Core ML runtime for coremltools, on any operating system.

`enable` puts `ModelProxy` where coremltools keeps its link to the Core ML framework, so that
``coremltools.models.MLModel(...).predict`` computes with refcoreml; `disable` takes it away again::

    import coremltools
    from refcoreml.integrations.coremltools import enable

    enable()
    outputs = coremltools.models.MLModel("MyModel.mlmodel").predict({"image": image})

What goes in and comes out is what it is on a Mac, refusals included, so that code that works here works there:

============ ================================================ =======================================================
feature      taken                                            given back
============ ================================================ =======================================================
int64        int, bool, NumPy integer                         int
double       float or one of the above                        float
string       str, UTF-8 bytes                                 str
image        PIL image in mode RGB, L or F (half precision)   PIL image: RGBA (colour), L, F
array        writeable array of float32, float64, int32 or    array of float32 (also for float16), float64, int32 or
             int8 that has dimensions; cast to the type       int8; a rank of 0 comes as 1
             declared, for integers by dropping fractions
dictionary   dict from int or str to int or float             dict from int or str to float
sequence     list of int or str (a Mac refuses these)         list of int or str
============ ================================================ =======================================================

``MLModel`` itself turns float16 arrays into float32, and tensors and lists for array inputs into arrays, before they
come here. All failures are RuntimeErrors; when a model cannot be loaded, ``MLModel`` warns, and raises at `predict`.
Custom layers and models, with which coremltools predicts nowhere, run where `refcoreml.custom_layer` and
`refcoreml.custom_model` have registered them before the model is loaded.

Source: coremlpython/CoreMLPython.mm, CoreMLPythonUtils.mm, CoreMLPythonArray.mm and models/model.py of coremltools.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from refcoreml.errors import InputError, RefCoreMLError, UsageError
from refcoreml.evaluators.state import State
from refcoreml.features import Feature
from refcoreml.model import Model, load
from refcoreml.spec.files import NEWEST_SPECIFICATION, ModelFile, parse_model
from refcoreml.spec.mil_print import print_program
from refcoreml.storage.writing import write_file

__all__ = ["MACOS", "disable", "enable"]

_BINDING = "coremltools.libcoremlpython"
#: The first version of macOS whose Core ML reads all that refcoreml reads.
MACOS = (26, 0)
#: Where coremltools defines, or imports first, what `enable` replaces.
_HOMES = tuple(f"coremltools.{name}" for name in ("models.model", "models.compute_device", "models.utils", "_deps"))
_COMPILED_SUFFIX = ".mlmodelc"
#: In a folder that `ModelProxy.compileModel` makes: the model that was compiled.
_COMPILED_ITEM = "refcoreml.mlmodel"
#: The same for a model with weight files, which only a package can hold.
_COMPILED_PACKAGE = "refcoreml.mlpackage"


class ModelProxy:
    """Stands for ``_MLModelProxy`` of coremltools' binding: a loaded model.

    Args:
        path: a ``.mlmodel``, ``.mlpackage`` or ``.mlmodelc``, the latter as made by `compileModel`.
        compute_units: the hardware to use on a Mac; changes nothing here.
        function_name: the function of a model, empty for the default one; a network has one, ``main``.
        optimization_hints: change nothing here.
        asset: the model instead of a path.

    Raises:
        RuntimeError: refcoreml cannot load the model.
    """

    def __init__(
        self,
        path: str,
        compute_units: str,
        function_name: str,
        optimization_hints: Mapping[str, str],
        asset: ModelAssetProxy | None = None,
    ) -> None:
        with _runtime_errors('Error compiling model: "{}".'):
            started = time.perf_counter_ns()
            found = _load(path) if asset is None else asset.model
            self._model = found.with_function(function_name if found.functions or function_name != "main" else "")
            self._model.prepare()
            self._load_duration = time.perf_counter_ns() - started
        self._features = {feature.name: feature for feature in self._model.inputs}
        self._predict_duration: int | None = None
        self._compiled_path = path if asset is None and _is_compiled(path) else ""

    def predict(self, values: Mapping[str, Any], state: StateProxy | None = None) -> dict[str, Any]:
        """Return the outputs for one set of inputs, with the state of a model that has one."""
        result: dict[str, Any] = self._run(self._taken(values), None if state is None else state.state)
        return result

    def batchPredict(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:  # noqa: N802
        """Return the outputs for each set of inputs."""
        result: list[dict[str, Any]] = self._run([self._taken(values) for values in batch])
        return result

    def _run(self, inputs: Any, state: State | None = None) -> Any:
        started = time.perf_counter_ns()
        with _runtime_errors(), _computing():
            result = self._model.predict(inputs, state=state)
        self._predict_duration = time.perf_counter_ns() - started
        return result

    def _taken(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _taken(name, value, self._features.get(name)) for name, value in values.items()}

    def newState(self) -> StateProxy:  # noqa: N802
        """Return a state, of no arrays for a model that has none."""
        with _runtime_errors():
            return StateProxy(self._model.make_state() if self._model.states else None)

    def get_compiled_model_path(self) -> str:
        """Return a folder with the compiled model, which lives as long as this object."""
        if not self._compiled_path:
            with _runtime_errors():
                self._compiled_path = _compile(self._model)
            weakref.finalize(self, shutil.rmtree, self._compiled_path, ignore_errors=True)
        return self._compiled_path

    def get_load_duration_in_nano_seconds(self) -> int:
        """Return how long loading took."""
        return self._load_duration

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        """Return how long the last prediction took; None before the first."""
        return self._predict_duration

    @staticmethod
    def maximum_supported_specification_version() -> int:
        """Return the newest specification version that refcoreml reads."""
        return NEWEST_SPECIFICATION

    @staticmethod
    def compileModel(path: str) -> str:  # noqa: N802
        """Compile a model, which here means to check and copy it; give the new folder."""
        with _runtime_errors():
            return _compile(load(path))

    @staticmethod
    def create_model_asset_from_path(path: str) -> Any:
        """Return an ``MLModelAsset`` for a compiled model."""
        with _runtime_errors():
            if not _is_compiled(path):
                raise UsageError(f"expected a compiled model ({_COMPILED_SUFFIX})", where=path)
            return _asset(_load(path))

    @staticmethod
    def create_model_asset_from_memory(data: bytes, blobs: Mapping[str, bytes]) -> Any:
        """Return an ``MLModelAsset`` for the bytes of a ``.mlmodel`` file, and of files of weights by path."""
        with _runtime_errors():
            weights = {name.rpartition("weights/")[2]: bytes(content) for name, content in blobs.items()}
            return _asset(Model(ModelFile(parse_model(bytes(data), "bytes"), "bytes", weights or None)))

    @staticmethod
    def get_model_structure(path: str) -> Any:
        """Refuse: only Apple's framework knows the structure of a compiled model."""
        raise RuntimeError("refcoreml does not read the structure of compiled models")

    @staticmethod
    def get_compute_plan(path: str, compute_units: str) -> Any:
        """Refuse: there is no plan of Apple's hardware here."""
        raise RuntimeError("refcoreml has no compute plans")

    @staticmethod
    def get_available_compute_devices() -> list[Any]:
        """Return the processor as an ``MLCPUComputeDevice``: nothing else computes here."""
        return [importlib.import_module("coremltools.models.compute_device").MLCPUComputeDevice(ProcessorProxy())]

    @staticmethod
    def get_all_compute_devices() -> list[Any]:
        """Return the same: none of Apple's other devices is looked for."""
        return ModelProxy.get_available_compute_devices()


class ProcessorProxy:
    """Stands for ``_MLCPUComputeDeviceProxy`` of coremltools' binding, of which nothing can be asked."""


class ModelAssetProxy:
    """Stands for ``_MLModelAssetProxy`` of coremltools' binding: a model in memory."""

    def __init__(self, model: Model) -> None:
        self.model = model


class StateProxy:
    """Stands for the binding's state object; that of a model without states holds none."""

    def __init__(self, state: State | None) -> None:
        self.state = state

    def read_state(self, name: str) -> Any:
        """Return a copy of the array of a state."""
        with _runtime_errors():
            return self._of(name).read(name)

    def write_state(self, name: str, value: Any) -> None:
        """Put a copy of an array into a state."""
        with _runtime_errors():
            self._of(name).write(name, value)

    def _of(self, name: str) -> State:
        if self.state is None:
            raise InputError(f"the model has no state {name!r}")
        return self.state


@contextmanager
def _computing() -> Iterator[None]:
    """Begin errors of an ML Program that runs with the words that Core ML has for them."""
    try:
        yield
    except RefCoreMLError as error:
        if "mlProgram.functions" in error.where:
            error.problem = f"Unable to compute the prediction using ML Program: {error.problem}"
        raise


@contextmanager
def _runtime_errors(message: str = "{}") -> Iterator[None]:
    """Raise every error as a `RuntimeError`, the only class of error that the binding has."""
    __tracebackhide__ = True
    try:
        yield
    except Exception as error:
        raise RuntimeError(message.format(error)) from error


def _is_compiled(path: str) -> bool:
    return path.rstrip("/").endswith(_COMPILED_SUFFIX)


def _load(path: str) -> Model:
    items = [Path(path) / name for name in (_COMPILED_ITEM, _COMPILED_PACKAGE)] if _is_compiled(path) else []
    return load(next((item for item in items if item.exists()), path), prepare=False)


def _compile(model: Model) -> str:
    folder = Path(tempfile.mkdtemp(suffix=_COMPILED_SUFFIX))
    model.save(folder / (_COMPILED_PACKAGE if model.has_weight_files else _COMPILED_ITEM))
    if model.spec.WhichOneof("Type") == "mlProgram":  # for those who read it; what is loaded is the other
        write_file(print_program(model.spec.mlProgram).encode(), folder / "model.mil")
    return str(folder)


def _asset(model: Model) -> Any:
    return importlib.import_module("coremltools.models.model").MLModelAsset(ModelAssetProxy(model))


# --- what goes in ----------------------------------------------------------------------------------------------------

_ARRAY_TYPES = ("float32", "float64", "int32", "int8")


def _taken(name: str, value: Any, feature: Feature | None) -> Any:
    """Return the value of one input as the binding hands it to Core ML.

    Raises:
        RuntimeError: the binding refuses the value, or its kind is not the one declared.
    """
    kind, result = _kind(value)
    if not kind:
        accepted = f"Arrays must be writeable, have dimensions and hold {', '.join(_ARRAY_TYPES)}"
        raise RuntimeError(f"value type not convertible: input {name!r} is {_described(value)}. {accepted}")
    if feature is None:
        return result  # its name will be refused
    if kind != feature.kind and (kind, feature.kind) != ("int64", "double"):
        raise RuntimeError(f"input {name!r} is {_described(value)}, but the model declares {feature.describe()}")
    if kind == "array" and feature.element.startswith("Int"):
        return np.trunc(result)
    return result


def _kind(value: Any) -> tuple[str, Any]:
    """Return the kind of feature that a Python value stands for, and the value; an empty kind if none."""
    from PIL import Image

    if isinstance(value, (int, np.integer)):
        return "int64", int(value)
    if isinstance(value, float):
        return "double", value
    if isinstance(value, str):
        return "string", value
    if isinstance(value, bytes):
        return "string", value.decode(errors="replace")
    if isinstance(value, dict):
        return "dictionary" if _is_dictionary(value) else "", value
    if isinstance(value, (list, tuple)):
        return "sequence", value
    if isinstance(value, np.ndarray):
        # The binding requests a pointer that it may write through.
        fits = value.dtype.name in _ARRAY_TYPES and value.ndim > 0 and value.flags.writeable
        return "array" if fits else "", value
    return "image" if isinstance(value, Image.Image) else "", value


def _is_dictionary(value: dict[Any, Any]) -> bool:
    """Return whether all keys are integers or all strings, and all values integers, or numbers, a float first."""
    integers = (int, np.integer)
    keys = integers if isinstance(next(iter(value), 0), integers) else (str, bytes)
    numbers = (float, *integers) if isinstance(next(iter(value.values()), 0), float) else integers
    return all(isinstance(key, keys) and isinstance(number, numbers) for key, number in value.items())


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        kind = f"array of {value.dtype} and shape {value.shape}"
        return f"an {kind}" if value.flags.writeable else f"a read-only {kind}"
    return f"a {type(value).__name__}"


# --- switching on and off --------------------------------------------------------------------------------------------

#: What `enable` has replaced: coremltools' objects by name, and the module of its binding, None where it has none.
_originals: tuple[dict[str, Any], ModuleType | None] | None = None


def enable() -> None:
    """Let coremltools predict with refcoreml, in this process.

    coremltools then believes to run on macOS `MACOS`: it asks before it compiles models, makes states or tells why a
    model was not loaded, and most of its tests ask before they predict. It does not matter whether it has been imported
    yet. A model keeps the runtime that it was made with, so call this before models are made or converted.

    Raises:
        UsageError: coremltools cannot be imported.
    """
    global _originals
    if _originals is not None:
        return
    try:
        model, devices, utils, deps = map(importlib.import_module, _HOMES)
    except ImportError as error:
        raise UsageError(f"coremltools cannot be imported: {error}", remedy="pip install coremltools") from error
    models = {"_MLModelProxy": ModelProxy, "_MLModelAssetProxy": ModelAssetProxy}
    processor = {"_MLCPUComputeDeviceProxy": ProcessorProxy}
    replacements: dict[ModuleType, dict[str, Any]] = {
        model: models,
        devices: processor,
        utils: {"_is_macos": lambda: True, "_macos_version": lambda: MACOS},
        deps: {"_IS_MACOS": True},
    }
    originals = {name: getattr(home, name) for home, names in replacements.items() for name in names}
    _originals = originals, sys.modules.get(_BINDING)
    binding = ModuleType(_BINDING, "Stands for the binding to the Core ML framework.")
    vars(binding).update(models | processor)
    _put({name: value for names in replacements.values() for name, value in names.items()}, binding)


def disable() -> None:
    """Restore what `enable` replaced in coremltools. Models loaded in between go on to predict with refcoreml."""
    global _originals
    if _originals is not None:
        _put(*_originals)
        _originals = None


def _put(values: Mapping[str, Any], binding: ModuleType | None) -> None:
    """Set names wherever coremltools holds them, as its modules import them from each other, and its binding."""
    package, name = _BINDING.split(".")
    if binding is None:
        sys.modules.pop(_BINDING, None)
        vars(sys.modules[package]).pop(name, None)
    else:
        sys.modules[_BINDING] = binding
        setattr(sys.modules[package], name, binding)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(f"{package}."):
            for held in values.keys() & vars(module).keys():
                setattr(module, held, values[held])
