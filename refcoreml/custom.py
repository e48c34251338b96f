"""Code of the user's own: what custom layers and custom models look like, and under which names they are found.

A model with a custom layer holds the name of a class, parameters and weights; what to compute is code, which refcoreml
takes from Python. A plain function serves a simple layer, parameters becoming keyword arguments::

    @refcoreml.custom_layer("Swish")
    def swish(x, beta):
        return x / (1 + np.exp(-beta * x))

A class, in the manner of Apple's MLCustomLayer, serves one that needs its weights or tells its shapes: see
`CustomLayer`. Custom models (MLCustomModel) are classes: see `CustomModel`. Names are registered for the process, by
the decorators, or for one model, ``refcoreml.load(path, custom_layers={"Swish": swish})``, which wins. Nothing is ever
imported because a model says so.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from refcoreml import values as passed
from refcoreml.errors import InvalidModelError, UsageError
from refcoreml.features import Feature
from refcoreml.spec import schema
from refcoreml.types import Array, Shape

__all__ = ["CustomLayer", "CustomModel", "ModelDescription", "custom_layer", "custom_model", "scope"]

#: A class like `CustomLayer` or `CustomModel`, or, for a layer, a function.
Code: TypeAlias = Callable[..., Any]
Registered = TypeVar("Registered", bound=Code)


class CustomLayer:
    """What a class that computes a custom layer looks like. It need not inherit from this; `evaluate` will do.

    One instance is made for each layer of each loaded model, of an ML Program when it first runs: ``__init__``, then,
    where the class has them, `weight_shapes`, `set_raw_weights` and `set_weights`, the first two for networks only.
    Afterwards `output_shapes` is called once for each combination of input shapes and `evaluate` for each prediction,
    more often inside a loop.

    Attributes:
        thread_safe: whether several threads, which share the samples of a batch, may call `evaluate` at once. Otherwise
            they take turns. (A plain function is always called at once.)
    """

    thread_safe: bool = False

    def __init__(self, parameters: dict[str, Any]) -> None:
        """Take the layer's parameters: strings, ints, floats and booleans by name."""
        self.parameters = parameters
        self.weights: list[Array] = []

    def weight_shapes(self) -> Sequence[Shape] | None:
        """Return the shapes of the weights, which files of networks do not hold; None: unknown, they come flat.

        With shapes, each array is checked and decoded exactly. Flat ones are in the order of the file; then codes of
        less than a byte may be followed by the rest of the last byte, and such codes with a scale for each channel are
        refused, since nothing says where a channel ends.
        """
        return None

    def set_raw_weights(self, weights: Sequence[schema.WeightParams]) -> None:
        """Take the weights as they are stored, for code that wants to see how they are quantized."""

    def set_weights(self, weights: list[Array]) -> None:
        """Take the decoded weights: arrays in the type of the arithmetic (``float16``: rounded, stored as float32)."""
        self.weights = weights

    def output_shapes(self, input_shapes: list[Shape]) -> Sequence[Shape] | None:
        """Return the shapes of the outputs, from those of the inputs alone; None: known after `evaluate` only.

        What is told here is known to `Model.shapes`, and `evaluate` is held to it.
        """
        return None

    def evaluate(self, inputs: list[Array]) -> Any:
        """Compute the outputs: a list of arrays, or for one output an array.

        Inputs are read-only, ``[Seq, Batch, C, H, W]`` in rank-5 networks, and float32, or float64 under that
        precision; under ``float16`` they are float32 arrays of half-precision numbers. Outputs may be views of the
        inputs. They are brought to the same type (and, under ``float16``, rounded), and belong to refcoreml afterwards.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ModelDescription:
    """What a custom model is told about itself.

    Attributes:
        inputs, outputs: the features.
        predicted_feature, predicted_probabilities: names of outputs; empty if the model declares none.
        text: the description that the author gave the class.
    """

    inputs: list[Feature]
    outputs: list[Feature]
    predicted_feature: str
    predicted_probabilities: str
    text: str


class CustomModel:
    """What a class that computes a custom model looks like. It need not inherit from this; `predict` will do.

    One instance is made when the model is loaded.

    Attributes:
        thread_safe: whether several threads may call `predict` at once; otherwise they take turns.
    """

    thread_safe: bool = False

    def __init__(self, description: ModelDescription, parameters: dict[str, Any]) -> None:
        """Take the model's features and its parameters: strings, ints, floats, booleans and bytes by name."""
        self.description, self.parameters = description, parameters

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Compute all outputs from checked inputs, both by name: arrays, PIL images, numbers, strings, dicts, lists.

        A class may also have ``predict_batch``, from a list of such dicts to a list of such dicts, which then serves
        `Model.predict` for a list (but not inside a pipeline).
        """
        raise NotImplementedError


# --- names ------------------------------------------------------------------------------------------------------------


class _Table:
    """Code by name, for this process."""

    def __init__(self, noun: str, method: str, *, functions: bool) -> None:
        self.noun, self.method, self.functions = noun, method, functions
        self.entries: dict[str, Code] = {}

    def check(self, name: Any, code: Any) -> None:
        if not passed.is_a(name, str) or not name:
            raise UsageError(
                f"a custom {self.noun} needs the name of its class in models, got {passed.quoted(name)}",
                remedy=f'Write @refcoreml.custom_{self.noun}("Name")',
            )
        if passed.is_a(code, type):
            fits = callable(getattr(code, self.method, None))
        else:
            fits = self.functions and callable(code)
        if not fits:
            expected = f"a class with the method {self.method}" + " or a function" * self.functions
            got = passed.shown(code)
            raise UsageError(f"custom {self.noun} {passed.quoted(name)}: expected {expected}, got {got}")

    def register(self, name: Any, replace: bool) -> Callable[[Registered], Registered]:
        if not isinstance(name, str):
            self.check(name, None)

        def add(code: Registered) -> Registered:
            self.check(name, code)
            if name in self.entries and not replace:
                raise UsageError(
                    f"custom {self.noun} {name!r} is registered already, as {_origin(self.entries[name])}",
                    remedy=f"Give it another name, write custom_{self.noun}({name!r}, replace=True), or give the "
                    f"code to one model: load(path, custom_{self.noun}s={{{name!r}: ...}})",
                )
            self.entries[name] = code
            return code

        return add

    def given(self, codes: Mapping[str, Code] | None) -> dict[str, Code]:
        """Return a checked copy of what a caller has given."""
        refuse = passed.argument(f"custom_{self.noun}s")
        copied = {} if codes is None else dict(passed.mapping(codes, refuse, "a dict by class name"))
        for name, code in copied.items():
            self.check(name, code)
        return copied


def _origin(code: Code) -> str:
    return f"{getattr(code, '__module__', '?')}.{getattr(code, '__qualname__', code)}"


LAYERS = _Table("layer", "evaluate", functions=True)
MODELS = _Table("model", "predict", functions=False)


def custom_layer(name: str, *, replace: bool = False) -> Callable[[Registered], Registered]:
    """Register a class or function, for this process, under the class name that models have for it.

    A function is called with the inputs, and with the parameters as keyword arguments; also with ``weights``, a list of
    flat arrays, if the layer holds some.

    Args:
        name: ``className`` in the model.
        replace: whether it may take the place of code that has the name already.

    Raises:
        UsageError: the name is taken, or what is registered is neither a class with ``evaluate`` nor a function.
    """
    return LAYERS.register(name, replace)


def custom_model(name: str, *, replace: bool = False) -> Callable[[Registered], Registered]:
    """Register a class, for this process, under the class name that custom models have for it; see `custom_layer`."""
    return MODELS.register(name, replace)


@contextmanager
def scope() -> Iterator[None]:
    """Forget at the end what is registered inside."""
    before = dict(LAYERS.entries), dict(MODELS.entries)
    try:
        yield
    finally:
        LAYERS.entries, MODELS.entries = before


# --- what a model needs -----------------------------------------------------------------------------------------------


def parameter_values(parameters: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the parameters of a custom layer or model as Python values: str, int, float, bool or bytes.

    Raises:
        InvalidModelError: one of them has no value.
    """
    values = {}
    for name in sorted(parameters):
        member = parameters[name].WhichOneof("value")
        if member is None:
            raise InvalidModelError(f"parameter {name!r} has no value", where=where)
        values[name] = getattr(parameters[name], member)
    return values


#: For so many missing classes an error says what to write.
_MOST_CLASSES = 5
#: What quotes the model in comments is no longer.
_LONGEST_COMMENT = 200
#: So many inputs get names of their own.
_MOST_NAMES = 8


def what_to_write(blocks: Iterable[str], count: int = 1) -> str:
    """Return the remedy for code that nobody has written yet: lines that run as they are.

    Args:
        blocks: `layer_lines` or `model_lines` of each missing class; only the first ones are requested.
        count: how many classes are missing.
    """
    if not count:
        return ""
    lines = "\n\n\n".join(["import refcoreml", *islice(blocks, _MOST_CLASSES)])
    more = count - _MOST_CLASSES
    rest = f"\n\n\n# and so on for the {more} other classes" if more > 0 else ""
    return (
        "Complete these lines and run them before the model is loaded (on the command line: --custom FILE):\n\n"
        f"{lines}{rest}\n"
    )


def layer_lines(message: schema.CustomLayerParams, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Return the lines of Python to start from for a custom layer that nobody has written yet."""
    names = [f"x{index}" for index in range(len(inputs))]
    taken, made = _comment(", ".join(map(repr, inputs))), _comment(", ".join(map(repr, outputs)))
    lines = [
        f"@refcoreml.custom_layer({message.className!r})",
        f"class {_identifier(message.className)}:",
        *_about(message),
        "    def __init__(self, parameters):",
        "        self.parameters = parameters",
    ]
    if message.weights:
        lines += [f"    def set_weights(self, weights):  # {len(message.weights)}", "        self.weights = weights"]
    lines += [
        f"    def evaluate(self, inputs):  # {taken} -> {made}",
        *(
            [f"        {', '.join(names)}{',' if len(names) == 1 else ''} = inputs"]
            if len(names) <= _MOST_NAMES
            else []
        ),
        f"        raise NotImplementedError  # return a list of {len(outputs)}",
    ]
    return "\n".join(lines)


def model_lines(message: schema.CustomModel, description: ModelDescription) -> str:
    """Return the lines of Python to start from for a custom model that nobody has written yet."""
    groups = description.inputs, description.outputs
    taken, made = (_comment(", ".join(repr(feature.name) for feature in group)) for group in groups)
    return "\n".join(
        [
            f"@refcoreml.custom_model({message.className!r})",
            f"class {_identifier(message.className)}:",
            *_about(message),
            "    def __init__(self, description, parameters):",
            "        self.parameters = parameters",
            f"    def predict(self, inputs):  # {taken} -> {made}",
            "        raise NotImplementedError  # return a dict",
        ]
    )


def _about(message: Any) -> list[str]:
    """Return comments that quote the model; repr keeps hostile text inside of them."""
    lines = [f"    # {_comment(repr(message.description))}"] if message.description else []
    values = parameter_values(message.parameters, "")
    return lines + ([f"    # parameters: {_comment(repr(values))}"] if values else [])


def _comment(text: str) -> str:
    return text if len(text) <= _LONGEST_COMMENT else f"{text[:_LONGEST_COMMENT]} ..."


def _identifier(name: str) -> str:
    """Return a name for the class in Python that hides neither a keyword nor the package."""
    made = re.sub(r"\W", "_", name, flags=re.ASCII)[:80]
    return f"_{made}" if not made.isidentifier() or keyword.iskeyword(made) or made == "refcoreml" else made
