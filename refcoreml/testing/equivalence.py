"""`assert_equivalent`: one model against its source, for test suites of conversions."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refcoreml import values as passed
from refcoreml.errors import CallbackError, InputError, UsageError
from refcoreml.features import ArrayFeature, DictionaryFeature, ImageFeature
from refcoreml.features.classifier import Label
from refcoreml.model import Model, load
from refcoreml.oracle.bounds import BlobBound
from refcoreml.testing.agreement import Sharpness, compare_outputs
from refcoreml.testing.blame import Divergence, Search, beside, divergence
from refcoreml.testing.extras import torch
from refcoreml.testing.folding import derived_constants
from refcoreml.testing.onnx_models import OnnxModel
from refcoreml.testing.rounding import Constants, Undetermined
from refcoreml.testing.shaking import output_values, runs_beside
from refcoreml.testing.stored import stored_constants
from refcoreml.testing.subjects import NetworkSubject, ProgramSubject, Subject
from refcoreml.testing.torch_modules import Source, TorchSource, in_double
from refcoreml.testing.verification import Verified, verify

__all__ = ["Equivalence", "EquivalenceError", "UndeterminedError", "assert_equivalent"]


class EquivalenceError(AssertionError):
    """The model and its reference differ by more than rounding explains.

    Attributes:
        output: the output that differs.
        divergence: the first layer that diverges, or the layers among which it is, in a sentence; empty where the
            reference cannot be looked into.
        operation: the name of this layer or operation, the most likely of several; empty if none can be named.
        operations: the names of all of them, in order.
    """

    def __init__(self, message: str, output: str = "", found: Divergence | None = None) -> None:
        found = found or Divergence()
        super().__init__(f"{message}\n{found.text}" if found.text else message)
        self.output, self.divergence = output, found.text
        self.operation, self.operations = found.operation, found.operations


class UndeterminedError(AssertionError):
    """The model and its reference agree, but within bounds so wide that this shows nothing.

    Attributes:
        output: the output with the widest bound.
        width: this bound, relative to the output's numbers, see `refcoreml.testing.agreement.Sharpness`.
    """

    def __init__(self, message: str, output: str = "", width: float = np.inf) -> None:
        super().__init__(message)
        self.output, self.width = output, width


@dataclass(frozen=True)
class Equivalence:
    """What was shown.

    Attributes:
        outputs: the outputs that were compared.
        double: the widest bound in double precision, relative to the number that it is about, or to a typical one of
            the output if that is greater; None if the reference was in single precision, so that there was nothing to
            compare.
        single: likewise in single precision, of ML Programs in the types that they declare; None where rounding may
            change a decision there, such as the most likely word in a loop. Bounds of deep networks are wide in single
            precision: what they show, double precision shows.
        values: how many values were compared: the outputs, and all that the model and a torch module both have.
        segment: how many operations at most are between values that were compared; 0 if only outputs were.
        widest: the widest bound of all that were compared, relative to their numbers.
    """

    outputs: tuple[str, ...]
    double: float | None
    single: float | None
    values: int = 0
    segment: int = 0
    widest: float = 0.0


def assert_equivalent(
    model: Any,
    reference: Any,
    inputs: Mapping[str, Any],
    *,
    reference_inputs: Sequence[Any] | None = None,
    folded: float | None = None,
    widest: float | None = None,
) -> Equivalence:
    """Assert that a model computes what its source does, up to rounding.

    How far the two may be apart is derived from the model and these inputs, not chosen: of networks by rules
    (`refcoreml.testing.rounding`), of ML Programs by rounding at random (`refcoreml.testing.shaking`). A torch module
    runs in double precision and is compared in double precision as well, where hardly anything but a real difference is
    left. Parameters that a program stores in half precision are rounded so in the module, too. States begin with zeros.

    Args:
        model: anything that `refcoreml.load` takes: a path, a message, coremltools' ``MLModel``, a loaded model.
        reference: a torch module; an ONNX model, as a message of the package onnx or the path of a file; or a function
            of the inputs in the model's order; or the outputs themselves: a dictionary by name, a sequence in the
            model's order, or an array. Functions and modules may return any of these. Arrays in float64 are taken as
            exact, others as rounded as often as the model's.
        inputs: the model's inputs by name.
        reference_inputs: arguments of the reference; by default the arrays among the inputs, in the model's order.
            Needed for images, whose preprocessing the model holds and the reference does not.
        folded: the largest magnitude among terms that the converter has folded into biases; by default taken from the
            module's parameters (see `refcoreml.testing.torch_modules.source_constants`). For other references, by
            default all parameters count as exactly those of the model, except for scalars, which were rounded once; 0
            allows that the converter rounded each.
        widest: the widest bound, relative to the output's numbers, within which agreement counts. By default 2^-10, one
            unit in the last place of half precision, and 2^-6 for programs with weights of half precision that the
            converter computed, since each of them is off by a unit; a greater one accepts a comparison that shows less.

    Returns:
        How sharp the comparison was.

    Raises:
        EquivalenceError: an ``AssertionError``: values, shapes or the number of outputs differ; it names the output,
            the place, the bound, and for a torch module the first layer that diverges.
        UndeterminedError: an ``AssertionError``: nothing differs, but a bound is wider than ``widest``, or there was no
            number to compare. Judged by the run in double precision if there is one.
        UsageError: names that the model does not have, or a reference of another type.
        CallbackError: the reference is a function that raises.
        InputError: the inputs do not fit the model, or they decide nothing: rounding may change what a branch does.
    """
    __tracebackhide__ = True
    if widest is not None and not passed.number(widest, passed.argument("widest")) > 0:
        raise UsageError(f"must be a positive number, got {widest}", where="widest")
    if folded is not None:
        folded = passed.number(folded, passed.argument("folded"))
    double = model.with_precision("float64") if passed.is_a(model, Model) else load(model, precision="float64")
    if double.kind not in ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor", "mlProgram"):
        raise UsageError(f"bounds can be derived for neural networks and ML Programs, this model is a {double.kind}")
    subject: Subject = ProgramSubject(double) if double.kind == "mlProgram" else NetworkSubject(double)
    # Wrong inputs are told before the reference runs, and it may be given the same ones.
    checked = double.check_inputs(inputs)
    inputs = passed.mapping(inputs, passed.argument("inputs", InputError))
    source, given = _run_reference(subject, subject.given(inputs, checked), reference, reference_inputs)
    labels = subject.labels(inputs)
    expected = _by_name(double, given, labels)
    task = _Task(subject, source, inputs, expected, _constants(source, folded), folded)
    exact = all(value.dtype == np.float64 for value in expected.values())
    widest = subject.widest(task.constants) if widest is None else widest
    found = task.by_segments(widest) if source is not None and exact else task.whole(exact)
    _require_sharp(found.sharpness, widest)
    return found.equivalence(subject)


@dataclass
class _Found:
    """How sharp comparisons were, by precision, the sharpest first; and what was compared inside."""

    names: Sequence[str]
    sharpness: dict[str, Sharpness] = field(default_factory=dict)
    search: Search | None = None

    def equivalence(self, subject: Subject) -> Equivalence:
        widths = {precision: sharpness.width for precision, sharpness in self.sharpness.items()}
        found = Equivalence(tuple(self.names), widths.get("float64"), widths.get(subject.single.precision))
        search = self.search
        if search is None:
            return replace(found, values=len(self.names), widest=next(iter(widths.values())))
        return replace(found, values=search.compared, segment=search.segment, widest=search.width)


@dataclass(frozen=True)
class _Task:
    """A model and what its reference has computed.

    Attributes:
        subject: the model.
        source: the torch module or ONNX model; None if the reference is none.
        inputs: the model's inputs.
        expected: the outputs of the reference by name.
        constants: how far the model's own numbers may be off.
        folded: what the user said about them.
    """

    subject: Subject
    source: Source | None
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    constants: Constants
    folded: float | None

    def by_segments(self, widest: float) -> _Found:
        """Compare all values that both sides have in double precision, then the outputs in that of the model."""
        __tracebackhide__ = True
        assert self.source is not None
        double, recorded = self.subject.double, self.source.record()
        verified = verify(stored_constants(double), derived_constants(recorded), self.constants)
        if verified.findings:
            noun, first = "operation" if double.kind == "mlProgram" else "layer", verified.findings[0]
            names = tuple(dict.fromkeys(each.operation for each in verified.findings))
            where = Divergence(f"first divergent {noun}: {first.text}", first.operation, names)
            raise EquivalenceError(_of_constants(len(verified.findings)), "", where)
        constants = verified.constants
        search = beside(double, self.inputs, recorded, constants, widest)
        try:
            search.run(runs_beside(double, self.inputs, constants, unit=self.source.unit))
        except Undetermined as error:
            raise _undecided(error) from error
        found = _Found(list(self.expected), search=search)
        values = output_values(double)
        bounds = {name: search.bounds[value] for name, value in values.items() if value in search.bounds}
        found.sharpness[double.precision] = sharpness = self._compared(double, bounds, search, verified)
        search.note_compared((values[name] for name in found.names), sharpness.width)
        run, bounded = self.subject.whole_run(self.inputs, self.constants)
        with contextlib.suppress(Undetermined):  # the comparison in double precision stands
            found.sharpness[run.precision] = self._compared(run, bounded(), search, verified)
        return found

    def whole(self, exact: bool) -> _Found:
        """Compare the outputs: in double precision if the reference is exact, and in that of the model."""
        __tracebackhide__ = True
        found = _Found(list(self.expected))
        for run, bounded in self.subject.runs(self.inputs, self.constants, exact):
            try:
                bounds = bounded()
            except Undetermined as error:
                if found.sharpness:  # the comparison in double precision stands
                    break
                raise _undecided(error) from error
            found.sharpness[run.precision] = self._compared(run, bounds)
        return found

    def _compared(
        self,
        run: Model,
        bounds: Mapping[str, BlobBound],
        search: Search | None = None,
        verified: Verified | None = None,
    ) -> Sharpness:
        """Return how sharp the comparison of a run with the reference was; raise `EquivalenceError` if they differ."""
        __tracebackhide__ = True
        names = list(self.expected)
        missing = [name for name in names if name not in bounds]
        if missing:
            raise UsageError(f"output {missing[0]!r} is no blob of the network, so that it has no bound")
        if run is self.subject.double:
            actual = {name: bound.value for name, bound in bounds.items()}
        else:
            actual = self.subject.values(run, self.inputs, names)
        radii = {name: bounds[name].radius for name in names}
        values = [np.asarray(self.expected[name], np.float64) for name in names]
        difference, sharpness = compare_outputs(names, actual, values, radii)
        if difference is None:
            return sharpness
        where = self._divergence(search, verified)
        advice = "" if difference.shapes else _advice(self.subject, self.source, self.folded)
        raise EquivalenceError(f"in {run.precision}, {difference.message}{advice}", difference.name, where)

    def _divergence(self, search: Search | None, verified: Verified | None) -> Divergence:
        """Return where the two diverge."""
        double = self.subject.double
        if search is None:
            if self.source is None:
                return Divergence()
            search = beside(double, self.inputs, self.source.record(), self.constants)
            with contextlib.suppress(Undetermined):
                search.run(runs_beside(double, self.inputs, self.constants, unit=self.source.unit))
        return divergence(search, double, self.inputs, verified or Verified(self.constants))


def _of_constants(count: int) -> str:
    return f"{count} of the model's constants {'is' if count == 1 else 'are'} not what the source's parameters give"


def _undecided(error: Undetermined) -> InputError:
    return InputError(f"rounding may turn a branch or loop: {error}", remedy="Choose other inputs")


def _advice(subject: Subject, source: Source | None, folded: float | None) -> str:
    """Return why a correct conversion may differ, and what to do then, as the end of a message."""
    if subject.compressed():
        return "; the model's weights are compressed, which is more than rounding: measure it by compare_models"
    if source is None and folded is None:
        return (
            "; the reference is no torch module or ONNX model, so the model's parameters count as exact: pass the "
            "torch module, or folded=0 if the converter rounded them"
        )
    return ""


def _require_sharp(found: Mapping[str, Sharpness], widest: float) -> None:
    """Raise `UndeterminedError` unless the bounds of the sharpest run are small."""
    __tracebackhide__ = True
    precision, sharpness = next(iter(found.items()))
    if sharpness.width <= widest:
        return
    advice = "give widest=... to accept a comparison that shows less, or compare parts of the network"
    if precision != "float64":
        advice = f"pass the torch module itself, or give the reference in float64; {advice}"
    raise UndeterminedError(
        f"undetermined: nothing differs, but in {precision} {sharpness.message}, a part of {sharpness.width:.2g}, more "
        f"than {widest:.2g}; {advice}",
        sharpness.name,
        sharpness.width,
    )


def _is_module(reference: Any) -> bool:
    return any(kind.__module__.startswith("torch.") and kind.__name__ == "Module" for kind in type(reference).__mro__)


def _run_reference(
    subject: Subject, inputs: Mapping[str, Any], reference: Any, given: Sequence[Any] | None
) -> tuple[Source | None, Any]:
    """Return (the torch module or ONNX model in double precision or None, the outputs)."""
    reference = OnnxModel.of(reference) or reference
    if not callable(reference) and not isinstance(reference, OnnxModel):
        return None, reference
    if given is None:
        given = [inputs[feature.name] for feature in subject.double.inputs if feature.name in inputs]
        if any(hasattr(value, "getbands") for value in given):
            raise UsageError(
                "an input is a picture, which the model preprocesses",
                remedy="Give reference_inputs=[array], the arguments of the reference after the model's preprocessing, "
                "such as picture / 255 with the axes batch, channel, height, width",
            )
    refuse = passed.argument("reference_inputs")
    if passed.is_a(given, (np.ndarray, Mapping)):
        remedy = "Write [array], the arguments of the reference in its order"
        raise refuse(f"got {passed.shown(given)}, expected a list of arguments", remedy)
    given = passed.items(given, refuse)
    source: Source
    if isinstance(reference, OnnxModel):
        source = reference.given(given)
    elif _is_module(reference):
        tensors = [value if isinstance(value, torch.Tensor) else _tensor(value) for value in given]
        source = TorchSource(*in_double(reference, tensors))
    else:
        return None, _called(reference, given)
    subject.adapt(source)
    return source, source.outputs()


def _called(reference: Callable[..., Any], given: Sequence[Any]) -> Any:
    """Return what a function returns; it gets copies, since it may work in place."""
    for value in given:
        if passed.is_a(value, np.ndarray) and value.dtype.kind in "biuf":
            passed.array(value, passed.argument("reference_inputs"))
    try:
        copies = copy.deepcopy(list(given))
    except Exception as error:
        raise UsageError(f"cannot be copied: {passed.reason(error)}", where="reference_inputs") from error
    try:
        return reference(*copies)
    except Exception as error:
        raise CallbackError(f"raised {passed.reason(error)}", where="the reference") from error


def _tensor(value: Any) -> Any:
    """Return the array as the model gets it: numbers in single precision, integers unchanged."""
    array = np.array(value)
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64))


def _by_name(model: Model, outputs: Any, labels: Mapping[str, Sequence[Label]]) -> dict[str, Any]:
    """Return the reference's outputs as arrays by the model's names."""
    outputs_of_numbers = [
        feature for feature in model.outputs if isinstance(feature, (ArrayFeature, ImageFeature, DictionaryFeature))
    ]
    names = [feature.name for feature in outputs_of_numbers]
    if not names or (passed.is_a(outputs, Mapping) and not passed.mapping(outputs, passed.argument("reference"))):
        lacks = "the reference has no outputs" if names else "the model has no outputs that are arrays"
        raise UsageError(f"{lacks}, so that there is nothing to compare")
    if passed.is_a(outputs, Mapping):
        given = passed.mapping(outputs, passed.argument("reference"))
        for name in given:
            if not passed.is_a(name, str) or name not in names:
                hint = passed.did_you_mean(name, names) if passed.is_a(name, str) else ""
                remedy = f"{hint}Its outputs are {', '.join(names)}"
                raise UsageError(f"the model has no output {passed.quoted(name)}", remedy=remedy)
        return {name: _array(value, name, labels.get(name, ())) for name, value in given.items()}
    listed = passed.items(outputs, passed.argument("reference")) if passed.is_a(outputs, (tuple, list)) else [outputs]
    if len(listed) != len(names):
        raise EquivalenceError(
            f"the reference has {len(listed)} outputs, the model {len(names)}: {', '.join(names)}; give a dictionary "
            "by name to compare some of them"
        )
    return {name: _array(value, name, labels.get(name, ())) for name, value in zip(names, listed, strict=True)}


def _array(value: Any, name: str, labels: Sequence[Label]) -> Any:
    """Return an output of the reference as an array; scores by label in the order of the model's classes."""
    refuse = passed.argument(f"reference output {name!r}")
    if passed.is_a(value, Mapping):
        scores = passed.mapping(value, refuse)
        if not labels:
            raise refuse(f"got {passed.shown(value)}, expected an array: it is no output by label")
        if len(scores) != len(labels) or any(label not in scores for label in labels):
            given, known = (", ".join(map(passed.quoted, group)) for group in (scores, labels))
            raise EquivalenceError(f"output {name!r} of the reference has the labels {given}, the model {known}", name)
        value = [scores[label] for label in labels]
    if type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu()
    array = passed.array(value, refuse)
    return array.astype(np.float64) if array.dtype.kind in "biu" else array


def _constants(source: Source | None, folded: float | None) -> Constants:
    if source is None:
        return Constants() if folded is None else Constants(np.zeros(1), terms=folded)
    found = source.constants()
    return found if folded is None else Constants(found.known, terms=folded)
