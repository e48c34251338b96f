"""Loading, predicting, tracing, saving: `load` and `Model`."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, overload

import numpy as np

from refcoreml import custom, features, values
from refcoreml.errors import InputError, UsageError, found_by, harmless
from refcoreml.evaluators.base import Evaluator, MakeEvaluator, Settings, make_evaluator
from refcoreml.evaluators.custom import CustomModelEvaluator
from refcoreml.evaluators.linear import LinearRegressor
from refcoreml.evaluators.network import NeuralNetworkEvaluator
from refcoreml.evaluators.pipeline import Pipeline, inner_models
from refcoreml.evaluators.program import ProgramEvaluator
from refcoreml.evaluators.state import State
from refcoreml.execution.arithmetic import arithmetic
from refcoreml.execution.engine import Event, Observer
from refcoreml.execution.limits import Budget, Limits
from refcoreml.features import Feature
from refcoreml.features.base import read_declarations
from refcoreml.problems import RAISED, Collected, Problem, Problems
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles
from refcoreml.spec.files import ModelFile, check_model, check_target, is_package_of, read_model, write_model
from refcoreml.spec.functions import Description, find_function, function_names
from refcoreml.types import Array, Shape

#: How each model type is run: from its message and settings to an evaluator.
EVALUATORS: dict[str, MakeEvaluator] = {
    "neuralNetwork": NeuralNetworkEvaluator,
    "neuralNetworkClassifier": NeuralNetworkEvaluator,
    "neuralNetworkRegressor": NeuralNetworkEvaluator,
    "glmRegressor": LinearRegressor,
    "customModel": CustomModelEvaluator,
    "mlProgram": ProgramEvaluator,
    "pipeline": Pipeline,
    "pipelineClassifier": Pipeline,
    "pipelineRegressor": Pipeline,
}


@dataclass(frozen=True, repr=False)
class LayerTrace:
    """A layer as it ran.

    Attributes:
        index: position in the network.
        name: the layer's name.
        kind: its type as the schema calls it.
        inputs, outputs: arrays by blob name. They belong to the run: copy what is to be kept or changed. A list shows
            as one array of its elements, a dictionary as its numbers, a state as what it held before; one that is
            written is also among the outputs.
        model: in a pipeline, the name of the model that the layer is in; empty elsewhere.
        computed: the outputs before they were rounded to half precision; the same arrays in other arithmetics.
        where: its place in the model, with the branches, loops or blocks that it is in.
    """

    index: int
    name: str
    kind: str
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    model: str = ""
    computed: dict[str, Array] = field(default_factory=dict)
    where: str = ""

    def __repr__(self) -> str:
        def listed(arrays: Mapping[str, Array]) -> str:
            return ", ".join(f"{name}: {array.dtype} {array.shape}" for name, array in arrays.items())

        name = f"{self.model}/{self.name}" if self.model else self.name
        shown = f"{self.index} {name!r} {self.kind} ({listed(self.inputs)}) -> ({listed(self.outputs)})"
        return harmless(f"<refcoreml.LayerTrace {shown}>")


class Model:
    """A Core ML model, loaded: a document that does not change. Made by `load`; `with_spec` makes a changed one."""

    def __init__(
        self,
        file: ModelFile,
        precision: str = "declared",
        strict: bool = True,
        custom_layers: Mapping[str, custom.Code] | None = None,
        custom_models: Mapping[str, custom.Code] | None = None,
        limits: Limits | None = None,
        function: str = "",
        problems: Problems = RAISED,
    ) -> None:
        self._file, self._weight_files = file, file.blob_files()
        known = arithmetic(precision).name
        self._precision = precision if _declares_types(file.spec) else known
        with found_by("functions"):
            self._chosen_function, self._function = function, find_function(file.spec, function)
        self._custom = custom.LAYERS.given(custom_layers), custom.MODELS.given(custom_models)
        self._evaluator: Evaluator | None = None
        self._strict = values.flag(strict, values.argument("strict"))
        self._limits = Limits.given(limits)
        self._read_features(problems)

    def __repr__(self) -> str:
        def listed(group: Sequence[Feature]) -> str:
            return ", ".join(f"{feature.name}: {feature.describe()}" for feature in group)

        return harmless(f"<refcoreml.Model {self.kind} ({listed(self.inputs)}) -> ({listed(self.outputs)})>")

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling, without what `prepare` made: other processes make it again."""
        made = ("_inputs", "_outputs", "_states", "_evaluator", "_weight_files", "_function")
        state = {name: value for name, value in vars(self).items() if name not in made}
        file = self._file
        return {**state, "_file": (self.spec.SerializeToString(), file.name, file.weights, file.package)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        spec, *source = state["_file"]
        vars(self).update(state)
        self._file = ModelFile(schema.Model.FromString(spec), *source)
        self._weight_files = self._file.blob_files()
        self._function = find_function(self.spec, self._chosen_function)
        self._evaluator = None
        self._read_features()

    def _read_features(self, problems: Problems = RAISED) -> None:
        description = self._function.description
        self._inputs = tuple(read_declarations(description.input, problems))
        self._outputs = tuple(read_declarations(description.output, problems))
        self._states = tuple(read_declarations(description.state, problems))

    @property
    def spec(self) -> schema.Model:
        """The model's message. Changes to it reach neither predictions nor `inputs`; `with_spec` is for that."""
        return self._file.spec

    @property
    def kind(self) -> str:
        """The model type as the schema calls it, such as ``neuralNetworkClassifier``."""
        return str(self.spec.WhichOneof("Type"))

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The features that a prediction takes."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Feature, ...]:
        """The features that a prediction returns."""
        return self._outputs

    @property
    def states(self) -> tuple[Feature, ...]:
        """What an ML Program keeps from one prediction to the next, see `make_state`."""
        return self._states

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of an ML Program's functions; none for other types."""
        return function_names(self.spec)

    @property
    def function(self) -> str:
        """The function of an ML Program that predicts; empty for other types."""
        return self._function.name

    @property
    def description(self) -> Description:
        """The message that describes inputs, outputs and states: the model's, or that of the function that predicts."""
        return self._function.description

    @property
    def precision(self) -> str:
        """The arithmetic: ``float32``, ``float64`` or, of networks, ``float16``, of ML Programs ``declared``."""
        return self._precision

    @property
    def strict(self) -> bool:
        """Whether what the specification leaves undefined is an error."""
        return self._strict

    @property
    def limits(self) -> Limits:
        """The limits on the memory and time of the model."""
        return self._limits

    @property
    def name(self) -> str:
        """The path that the model was read from, or what kind of source it was."""
        return self._file.name

    @property
    def has_weight_files(self) -> bool:
        """Whether weights are in files of their own, so that only a package can hold the model."""
        return self._file.weights is not None

    @property
    def weight_files(self) -> BlobFiles | None:
        """The files of weights of an ML Program, mapped when they are needed; None if there is no place for them."""
        return self._weight_files

    def prepare(self) -> Evaluator:
        """Check the model and decode its weights, once; `load` does it unless told otherwise.

        An ML Program is checked, and its weights are decoded by the first prediction.

        Raises:
            UnsupportedModelError: refcoreml cannot run this type of model, or some of its layers.
            InvalidModelError: the model breaks a rule of the specification.
        """
        if self._evaluator is None:
            self._evaluator = self.check(RAISED)
        return self._evaluator

    def check(self, problems: Problems) -> Evaluator:
        """Check the model and decode its weights, as `prepare` does, but report what is wrong.

        Returns:
            What runs the model; to be used only if no problem was reported.
        """
        settings = Settings(
            self._precision,
            self.strict,
            self.custom_code("layer"),
            self.custom_code("model"),
            EVALUATORS,
            function=self.function,
            budget=Budget(self.limits),
            weight_files=self._weight_files,
            problems=problems,
        )
        return make_evaluator(self.spec, settings, self.name)

    def release(self) -> None:
        """Let go of mapped files of weights, and of what was prepared with them; the next prediction prepares anew.

        Windows keeps mapped files from being replaced; after this it does not, unless arrays of them are still held.
        """
        if self._weight_files is not None and self._weight_files.are_open:
            self._evaluator = None
            gc.collect()  # a prepared model may hold itself in a circle
            self._weight_files.close()

    def with_spec(self, spec: schema.Model) -> Model:
        """Return a model of a copy of another message, with this one's source, settings and code; not prepared yet.

        Raises:
            UsageError: it is no message of a model.
            UnsupportedModelError: it is from a newer specification.
            MalformedModelError: it has no version or no type.
        """
        if not values.is_a(spec, schema.Model):
            raise UsageError(f"got {values.shown(spec)}, expected a message of type Model", where="spec")
        copy = schema.Model()
        copy.CopyFrom(spec)
        return self._changed(replace(self._file, spec=check_model(copy, self.name)))

    def with_precision(self, precision: str) -> Model:
        """Return the same model in another arithmetic, with the same settings and code; not prepared yet.

        Raises:
            UsageError: there is no such arithmetic.
        """
        return self._changed(precision=precision)

    def with_function(self, function: str) -> Model:
        """Return the same model, an ML Program, with another of its functions to predict; not prepared yet.

        Raises:
            UsageError: there is no such function.
        """
        return self._changed(function=function)

    def _changed(self, file: ModelFile | None = None, *, precision: str = "", function: str | None = None) -> Model:
        return Model(
            file or self._file,
            precision or self.precision,
            self.strict,
            *self._custom,
            self.limits,
            self._chosen_function if function is None else function,
        )

    @property
    def models(self) -> dict[str, Model]:
        """The models of a pipeline by name, in order, each as a model of its own; none for other types.

        What the pipeline has prepared for them is not prepared again.
        """
        found: dict[str, Model] = {}
        prepared = self._evaluator.inner if self._evaluator is not None else ()
        for (name, inner), evaluator in zip_longest(inner_models(self.spec), prepared):
            found[name] = self._changed(ModelFile(inner, name, self._file.weights))
            found[name]._evaluator = evaluator
        return found

    def custom_code(self, kind: str) -> dict[str, custom.Code]:
        """Return the code for the model's custom layers (``layer``) or models (``model``), by class name."""
        layers, models = self._custom
        if kind == "layer":
            return {**custom.LAYERS.entries, **layers}
        return {**custom.MODELS.entries, **models}

    def make_state(self) -> State:
        """Return new arrays, filled with zeros, for what the model keeps from one prediction to the next.

        Raises:
            UsageError: the model has no states.
        """
        evaluator = self.prepare()
        if not evaluator.states:
            raise UsageError("the model has no states", where=self.name, remedy="Predict without one")
        return evaluator.make_state(self)

    @overload
    def predict(self, inputs: Mapping[str, Any], state: State | None = None) -> dict[str, Any]: ...

    @overload
    def predict(self, inputs: Sequence[Mapping[str, Any]], state: None = None) -> list[dict[str, Any]]: ...

    def predict(self, inputs: Any, state: State | None = None) -> Any:
        """Compute the outputs for one set of inputs, or for each of a list of them.

        Args:
            inputs: values by feature name: PIL images, arrays, numbers, strings, dictionaries; or a list of such dicts,
                which runs on all cores.
            state: what `make_state` of this model returned, for a model with states; the prediction reads and changes
                it. With a list of inputs there can be none.

        Returns:
            Values by feature name in the types that Core ML returns in Python: arrays of the declared type, PIL images,
            int, float, str, dictionaries of probabilities. For a list, a list of such dicts.

        Raises:
            InputError: the inputs do not fit what the model declares.
        """
        if type(inputs) is dict or values.is_a(inputs, Mapping):  # asking an abstract class takes longer
            return self._predict_one(inputs, state=state)
        if state is not None:
            raise InputError("one state serves one prediction at a time, got a list of inputs", where="state")
        if values.is_a(inputs, np.ndarray) and not np.ndarray.dtype.__get__(inputs).hasobject:
            name = self.inputs[0].name if self.inputs else "name"
            raise InputError(f"got {values.shown(inputs)}, expected a dict such as {{{name!r}: array}}", where="inputs")
        batch = values.items(inputs, values.argument(kind=InputError), "a dict or a list of dicts")
        return self.prepare().predict_batch(batch, self.check_inputs, self._finished)

    def _predict_one(
        self, inputs: Mapping[str, Any], observe: Observer | None = None, state: State | None = None
    ) -> dict[str, Any]:
        checked = self.check_inputs(inputs)
        with self._cells(state) as cells:
            return self._finished(self.prepare().predict({**checked, **cells}, observe))

    def _cells(self, state: Any) -> AbstractContextManager[Mapping[str, Any]]:
        """Give the arrays of a state to a prediction."""
        if state is None:
            return nullcontext({})
        if not values.is_a(state, State):
            raise InputError(f"got {values.shown(state)}, expected what make_state() returns", where="state")
        cells: AbstractContextManager[Mapping[str, Any]] = state.cells_for(self)
        return cells

    def _finished(self, results: Mapping[str, Any]) -> dict[str, Any]:
        return {
            feature.name: features.finish_output(feature, results[feature.name])
            for feature in self.outputs
            if feature.name in results
        }

    def check_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs in the types that evaluators compute on, see `features.check_inputs`.

        Raises:
            InputError: the inputs do not fit what the model declares.
        """
        return self.prepare().check_inputs(self.inputs, inputs)

    def observe(self, inputs: Mapping[str, Any], observer: Observer, state: State | None = None) -> dict[str, Any]:
        """`predict` for one set of inputs, with every layer shown to the observer."""
        return self._predict_one(inputs, observer, state)

    def trace(self, inputs: Mapping[str, Any], state: State | None = None) -> Iterator[LayerTrace]:
        """Yield every layer with its inputs and outputs, each computed when it is requested."""
        checked = self.check_inputs(inputs)
        with self._cells(state) as cells:
            held = {name: cell.array for name, cell in cells.items()}
            for step, arguments, results, computed in self.prepare().trace({**checked, **cells}):
                before = {name: held[name] for name in step.inputs if name in held}
                written = {name: cell.array for name, cell in cells.items() if cell.array is not held[name]}
                held.update(written)
                yield LayerTrace(
                    step.index,
                    step.name,
                    step.kind,
                    {**_arrays(step.inputs, arguments), **before},
                    {**_arrays(step.outputs, results), **written},
                    step.model,
                    {**_arrays(step.outputs, computed), **written},
                    step.where,
                )

    def events(self, inputs: Mapping[str, Any], state: State | None = None) -> Iterator[Event]:
        """Yield every layer as `trace` does, with values in the form in which they are held while the model runs."""
        checked = self.check_inputs(inputs)
        with self._cells(state) as cells:
            yield from self.prepare().trace({**checked, **cells})

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shape of every blob, without running a layer.

        Args:
            inputs: shapes of input blobs; by default those that the model declares.

        Returns:
            Shapes by blob name, in a pipeline ``model/blob``; blobs whose shape depends on values are missing.

        Raises:
            InputError: a name is no input of the model, or a shape is none or does not fit a layer.
            InvalidModelError: the declared shapes do not fit a layer. In both cases the error's ``shapes`` holds what
                was known before.
        """
        return self.prepare().shapes(None if inputs is None else self._shapes_by_name(inputs))

    def _shapes_by_name(self, inputs: Any) -> dict[str, Shape]:
        names = [feature.name for feature in self.inputs]
        shapes = {}
        passed = values.mapping(inputs, values.argument(kind=InputError), "shapes as a dict by input name")
        for name, shape in passed.items():
            place = f"shape of input {values.quoted(name)}"
            if not values.is_a(name, str) or str.__str__(name) not in names:
                hint = values.did_you_mean(name, names) if values.is_a(name, str) else ""
                remedy = f"{hint}Its inputs: {', '.join(map(repr, names[:50]))}"
                raise InputError("the model has no such input", where=place, remedy=remedy)
            shapes[str.__str__(name)] = values.shape(shape, values.argument(place, InputError))
        return shapes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as ``.mlmodel`` or ``.mlpackage``; an old file stays until the new one is complete.

        A model that was read from a package is saved with all else that this package holds.
        """
        if is_package_of(self._file, path):
            self.release()
        write_model(self._file, path)

    def check_save(self, path: str | os.PathLike[str]) -> None:
        """Raise what `save` would raise about the path, before any work is done for it.

        Raises:
            UsageError: the name has another ending, or what is there now cannot be replaced.
        """
        check_target(self._file, path)


def _arrays(names: Iterable[str], values: Iterable[Any]) -> dict[str, Array]:
    """Return values by name, those that are no arrays as what they hold."""
    return {name: np.asarray(getattr(value, "array", value)) for name, value in zip(names, values, strict=True)}


def state_of(model: Model) -> State | None:
    """Return a state of zeros; None for a model that keeps nothing."""
    return model.make_state() if model.states else None


def _declares_types(spec: schema.Model) -> bool:
    """Return whether a model says in which types to compute: an ML Program, or a pipeline with one."""
    return spec.WhichOneof("Type") == "mlProgram" or any(_declares_types(inner) for _, inner in inner_models(spec))


def as_model(source: Any, **options: Any) -> Model:
    """Return a model as it is, and load anything else."""
    return source if values.is_a(source, Model) else load(source, **options)


def load(
    source: Any,
    *,
    precision: str = "declared",
    strict: bool = True,
    prepare: bool = True,
    custom_layers: Mapping[str, custom.Code] | None = None,
    custom_models: Mapping[str, custom.Code] | None = None,
    limits: Limits | None = None,
    function: str = "",
) -> Model:
    """Load a Core ML model.

    Args:
        source: a path to ``.mlmodel`` or ``.mlpackage``, or to ``.mlmodelc`` if an ML Program is in it; bytes, a binary
            file object, a ``Model`` message, or anything with ``get_spec()``, such as coremltools' ``MLModel``.
        precision: the arithmetic. ``declared``: that of the model's type; for networks ``float32``, for ML Programs
            what they declare, with half precision rounded after every operation and sums in single. ``float32``: every
            float in single precision (for networks: as a CPU runtime). ``float64``: in double (the oracle). For
            networks alone ``float16``: weights and blobs stored in half precision, sums in single; indices too, which
            are exact up to 2048 only. Weights that become infinite or 0 by that cause a `RefCoreMLWarning`, which names
            them.
        strict: whether what the specification leaves undefined, such as an index out of range, is an error; otherwise
            what Core ML has been seen to do, where that is known.
        prepare: whether to check the network and decode its weights now, so that whatever is wrong shows here;
            otherwise at the first prediction. Weights of ML Programs are always decoded at the first prediction.
        custom_layers, custom_models: code for this model by class name; it goes before what is registered for the
            process, see `refcoreml.custom`. A model never causes code to be imported.
        limits: limits on the memory and time of the model; by default `Limits.of_environment`.
        function: the function of an ML Program that predicts; by default the one that the model says, mostly ``main``.

    Raises:
        UsageError: there is no such arithmetic, or the model has no such function.
        MalformedModelError: the source is no Core ML model, or a damaged one.
        UnsupportedModelError: valid, but not for refcoreml; names every layer that it cannot run, and what to write for
            custom ones.
        InvalidModelError: the model breaks a rule of the specification.
        LimitError: the model needs more memory or time than the limits allow.
        CallbackError: code of a custom layer or model fails while the model is prepared.
    """
    model = Model(_read(source), precision, strict, custom_layers, custom_models, limits, function)
    if values.flag(prepare, values.argument("prepare")):
        model.prepare()
    return model


def find_problems(
    source: Any,
    *,
    precision: str = "declared",
    strict: bool = True,
    custom_layers: Mapping[str, custom.Code] | None = None,
    custom_models: Mapping[str, custom.Code] | None = None,
    limits: Limits | None = None,
    function: str = "",
) -> list[Problem]:
    """Return all that keeps a model from being loaded, in the order in which it is checked; nothing if it can be.

    The first problem is what `load` raises. Those that merely follow from another one are left out: what rests on a
    part that has a problem is not checked.

    Args:
        source: the model, as for `load`.
        precision, strict, custom_layers, custom_models, limits, function: as for `load`.

    Raises:
        UsageError: an argument makes no sense.
    """
    problems = Collected()
    with problems.part(""):
        model = Model(_read(source), precision, strict, custom_layers, custom_models, limits, function, problems)
        with problems.part(""):
            model.check(problems)
        model.release()
    return problems.found


def _read(source: Any) -> ModelFile:
    with found_by("file"):
        return read_model(source)
