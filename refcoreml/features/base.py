"""`Feature`: one input or output of a model. What differs from kind to kind is in a class for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import NDArray

from refcoreml.errors import InputError, InvalidModelError
from refcoreml.features.shapes import Shapes, elements, times
from refcoreml.problems import RAISED, Problems
from refcoreml.spec import schema
from refcoreml.types import Shape

__all__ = ["ELEMENT_LIMIT", "Feature", "read_declarations", "read_features"]

#: The most elements of a shape that the model declares and nobody passed. A hostile file can declare any size at all.
ELEMENT_LIMIT = 1 << 28

#: The class of each kind, by the member of ``FeatureType`` that declares it.
_CLASSES: dict[str, type[Feature]] = {}


@dataclass(frozen=True)
class Feature:
    """One input or output of a model. Made by `Feature.of`, which returns an instance of the class of its kind.

    Attributes:
        name: its name; in a network also that of its blob.
        kind: ``int64``, ``double``, ``string``, ``image``, ``array``, ``dictionary``, ``sequence`` or ``state``.
        optional: whether a prediction may go without it.
        description: the author's words about it.
        element: what it holds: the data type of an array (``Float32``), the colours of an image (``RGB``), the type of
            the keys of a dictionary or of the items of a sequence (``Int64``, ``String``); empty for the other kinds.
        shapes: the allowed shapes of an array or state, the allowed sizes (width, height) of an image, the allowed
            lengths (length,) of a sequence.
        spec: a copy of the message.
    """

    name: str
    optional: bool
    description: str
    element: str
    shapes: Shapes
    spec: schema.FeatureDescription = field(repr=False, compare=False)

    kind: ClassVar[str]
    #: The kind in `describe`.
    noun: ClassVar[str]
    #: Whether it is a number or an array of numbers.
    numeric: ClassVar[bool] = False

    def __init_subclass__(cls, member: str = "") -> None:
        """Register the class of a kind under its member of ``FeatureType``."""
        if member:
            _CLASSES[member] = cls

    @staticmethod
    def of(description: schema.FeatureDescription) -> Feature:
        """Read a declaration.

        An array without a data type, which old files have, counts as one of doubles and causes a `RefCoreMLWarning`.

        Raises:
            InvalidModelError: the declaration has no type, or breaks a rule of its type.
        """
        where = f"description of feature {description.name!r}"
        kind = _CLASSES.get(description.type.WhichOneof("Type") or "")
        if kind is None:
            raise InvalidModelError("it has no type, or one newer than specification version 10", where=where)
        element, shapes = kind.read_type(description.type, where)
        copy = schema.FeatureDescription()
        copy.CopyFrom(description)
        return kind(description.name, description.type.isOptional, description.shortDescription, element, shapes, copy)

    @staticmethod
    def read_type(message: schema.FeatureType, where: str) -> tuple[str, Shapes]:
        """Return `element` and `shapes` of a declaration; raise `InvalidModelError` if it breaks a rule."""
        return "", Shapes()

    # --- what is declared ----------------------------------------------------------------------------------------

    def describe(self) -> str:
        """Return the type in short, as Xcode shows it: ``Image (RGB 224 x 224)``, ``MultiArray (Float32 1..5 x 3)``.

        Ranges read ``1..5`` or, without an upper limit, ``1..``; enumerated shapes ``2 x 4 | 3 x 9``; sizes of images
        are width x height; an optional feature ends in ``?``.
        """
        inside = " ".join(filter(None, [self.element, str(self.shapes)]))
        return self._described(inside)

    def _described(self, inside: str) -> str:
        return f"{self.noun}{f' ({inside})' if inside else ''}{'?' if self.optional else ''}"

    @property
    def holds_fractions(self) -> bool:
        """Whether a number or an array can hold fractions."""
        return False

    @property
    def half(self) -> bool:
        """Whether it holds numbers of half precision."""
        return False

    @property
    def count(self) -> int | None:
        """How many numbers it holds; None where that is not fixed."""
        return None

    @property
    def default_shape(self) -> Shape | None:
        """The shape of an array, or [C, H, W] of an image, by default; None if the model does not declare one.

        Raises:
            InvalidModelError: the declared shape has more than `ELEMENT_LIMIT` elements.
        """
        return self._limited(self.shapes.default)

    def _limited(self, shape: Shape | None) -> Shape | None:
        if shape is not None and elements(shape, ELEMENT_LIMIT) > ELEMENT_LIMIT:
            raise InvalidModelError(
                f"the declared shape ({times(shape)}) is too large", where=f"description of feature {self.name!r}"
            )
        return shape

    def accepts(self, source: Feature) -> bool:
        """Return whether values of another feature can become values of this one, see `converted`."""
        return self.kind == source.kind

    def refuse(self, problem: str, remedy: str = "") -> InputError:
        """Return the error to raise when a value does not fit this input; it says what was expected."""
        return InputError(problem, where=f"input {self.name!r}, {self.describe()}", remedy=remedy)

    # --- what goes in --------------------------------------------------------------------------------------------

    def check(self, value: Any, *, legacy_ranks: bool = False) -> Any:
        """Return a value that a user passed in the type that evaluators compute on, see `check_inputs`.

        Raises:
            InputError: the value does not fit.
        """
        raise NotImplementedError

    def check_returned(self, value: Any) -> Any:
        """Return a value as `check` does; also takes what `finish` returns, a colour image with alpha."""
        return self.check(value)

    def converted(self, value: Any) -> Any:
        """Return a value that another model made in the type that this feature declares; shapes are left alone.

        Raises:
            InputError: the type cannot hold it.
        """
        return value

    def default_value(self, shape: Shape | None = None) -> Any:
        """Return the declared value of an absent optional input, in a shape or the default one; None without one."""
        return None

    def size_of(self, checked: Any) -> Shape:
        """Return what `shapes` speaks of, for a value that `check` returned; () where it has no shape."""
        return ()

    # --- what comes out ------------------------------------------------------------------------------------------

    def finish(self, value: Any) -> Any:
        """Return what an evaluator computed in the type in which Core ML returns it in Python, see `finish_output`.

        Raises:
            InvalidModelError: the value has another form than the declared type.
        """
        try:
            return self._finished(value)
        except InputError as error:
            raise self._misfit(f"the model computes something else: {error.problem}") from error

    def _finished(self, value: Any) -> Any:
        raise NotImplementedError

    def _misfit(self, problem: str) -> InvalidModelError:
        return InvalidModelError(problem, where=f"{self._output}, {self.describe()}")

    @property
    def _output(self) -> str:
        """The place of an output, for messages."""
        return f"output {self.name!r}"

    def as_passed(self, value: Any) -> Any:
        """Return a value that `check` has checked, or that an evaluator computed, in the form in which people pass it.

        It is what `finish` returns, but for colour images, which have no alpha.
        """
        return self.finish(value)

    @property
    def cut(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        """What `finish` does to numbers other than rounding them to floats: to integers or bytes; None: nothing."""
        return None


def read_declarations(descriptions: Iterable[schema.FeatureDescription], problems: Problems = RAISED) -> list[Feature]:
    """Return the features of declarations, of those that have no problem."""
    features = []
    for description in descriptions:
        with problems.part("feature.type"):
            features.append(Feature.of(description))
    return features


def read_features(
    descriptions: Iterable[schema.FeatureDescription], noun: str, where: str, problems: Problems = RAISED
) -> list[Feature]:
    """Read the declarations of a model's inputs or outputs.

    Args:
        descriptions: the messages.
        noun: ``inputs`` or ``outputs``.
        where: the model's place, for errors.
        problems: where checks report.

    Raises:
        InvalidModelError: a declaration breaks a rule, or several have one name.
    """
    features = read_declarations(descriptions, problems)
    for name, count in Counter(feature.name for feature in features).items():
        if count > 1:
            with problems.part("feature.names"):
                raise InvalidModelError(f"{count} {noun} have the name {name!r}", where=where)
    return features
