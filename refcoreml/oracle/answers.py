"""The oracle: outputs in double precision, with an error bound for each number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from refcoreml import values
from refcoreml.errors import InputError
from refcoreml.model import Model, load
from refcoreml.oracle.bounds import trace_bounds, trace_layers
from refcoreml.oracle.models import Asked, States, asked
from refcoreml.oracle.outputs import Answer
from refcoreml.oracle.profiles import DECLARED, Profile, profile_named
from refcoreml.oracle.radii import BlobBound, Undetermined

__all__ = [
    "Answer",
    "LayerAnswer",
    "OpenDecisionError",
    "Prediction",
    "blob_answers",
    "layer_answers",
    "oracle",
    "predictions",
]


class OpenDecisionError(InputError):
    """Rounding may turn a branch or loop either way, so that nothing can be said of what comes after it."""


def oracle(model: Any, inputs: Mapping[str, Any], profile: str | Profile = DECLARED) -> dict[str, Answer]:
    """Compute each output of a network or ML Program with a bound on what rounding may change.

    Args:
        model: anything that `refcoreml.load` takes, or a loaded model.
        inputs: as for `refcoreml.Model.predict`; they are rounded to the profile's storage type first.
        profile: the name of one of `PROFILES`, or a profile of your own; by default ``declared``: each value of a
            program is stored in the type that the program declares, and sums are in single precision, as are networks.

    Returns:
        Answers by output name. States begin with zeros; see `predictions`.

    Raises:
        UnsupportedModelError: no network or ML Program, or one that draws random numbers or has custom layers.
        InputError: inputs that do not fit.
        OpenDecisionError: inputs at which rounding may turn a branch or loop either way.
        InvalidModelError: the model breaks a rule, or an output does not have the form that it declares.
    """
    found = _asked(model, profile)
    return _outputs(found, inputs, found.states({}))


class Prediction(NamedTuple):
    """One of several predictions with one state.

    Attributes:
        outputs: answers by output name.
        states: answers by state name: what the state holds after the prediction.
    """

    outputs: dict[str, Answer]
    states: dict[str, Answer]


def predictions(
    model: Any,
    samples: Iterable[Mapping[str, Any]],
    profile: str | Profile = DECLARED,
    state: Mapping[str, Any] | None = None,
) -> Iterator[Prediction]:
    """Yield answers for predictions one after another, each of which uses the states that the one before it left.

    What is uncertain of a state stays so in the predictions that follow.

    Args:
        model: the model; see `oracle`, also for the errors.
        samples: the inputs of each prediction.
        profile: the profile.
        state: by name what states hold before the first prediction; zeros for those that are not given.
    """
    found = _asked(model, profile)
    states = found.states(values.mapping({} if state is None else state, values.argument("state")))
    if not values.is_a(samples, Iterable) or values.is_a(samples, (Mapping, str)):
        raise values.argument("samples")(
            f"got {values.shown(samples)}, expected the inputs of each prediction in a list"
        )
    for inputs in samples:
        outputs = _outputs(found, inputs, states)
        yield Prediction(outputs, states.answers())


def blob_answers(model: Any, inputs: Mapping[str, Any], profile: str | Profile = DECLARED) -> dict[str, BlobBound]:
    """Return the answers of `oracle` for every blob, of a program for every value.

    For one that is written several times they are those of the last time.
    """
    found = _asked(model, profile)
    given = found.given(inputs)
    bounds = {name: BlobBound("", "", ball.mid, ball.rad) for name, ball in given.items()}
    states = found.states({})
    with _deciding():
        for name, bound, _ in trace_bounds(found.subject, {**given, **states.balls}, states.radii):
            bounds[name] = bound
    return bounds


@dataclass(frozen=True)
class LayerAnswer:
    """A layer, or an operation of a program, by itself.

    Attributes:
        name, kind: the layer and its type.
        inputs: what to give it, in the order of its inputs: the reference's blobs in the profile's storage type;
            integers as they are, of lists and states what they hold.
        outputs: bounds by the name of the blob.
    """

    name: str
    kind: str
    inputs: list[Any]
    outputs: dict[str, BlobBound]


def layer_answers(model: Any, inputs: Mapping[str, Any], profile: str | Profile = DECLARED) -> Iterator[LayerAnswer]:
    """Yield each layer as it runs, with inputs of its own: to judge a model layer by layer.

    The bounds of `oracle` grow along a network as the worst case does; these do not. Arguments and errors are those of
    `oracle`.
    """
    found = _asked(model, profile)
    given = {**found.given(inputs), **found.states({}).balls}
    with _deciding():
        for step, arguments, bounds in trace_layers(found.subject, given):
            shown = [getattr(value, "array", value) for value in arguments]
            yield LayerAnswer(step.name, step.kind, shown, dict(bounds))


def _asked(model: Any, profile: str | Profile) -> Asked:
    chosen = profile_named(profile)
    return asked(model if isinstance(model, Model) else load(model, prepare=False), chosen)


def _outputs(found: Asked, inputs: Mapping[str, Any], states: States) -> dict[str, Answer]:
    traced = trace_bounds(found.subject, {**found.given(inputs), **states.balls}, states.radii)
    with _deciding():
        while True:
            try:
                next(traced)
            except StopIteration as end:
                return found.answers(end.value)


@contextmanager
def _deciding() -> Iterator[None]:
    """Tell the user of decisions that rounding may turn."""
    try:
        yield
    except Undetermined as error:
        raise OpenDecisionError(
            "rounding may change this decision, so that all results after it are undetermined",
            where=str(error),
            remedy="Choose inputs for which the decision is certain",
        ) from None
