"""Values that users pass, turned into arrays, lists, dicts, numbers and texts, or refused in words.

Whatever a value is, the answer is given soon and takes little memory: sizes are known before anything is copied,
methods of foreign objects may raise what they like, and nothing is shown that is long or has control sequences. Each
function takes ``refuse``, which makes the error: `Feature.refuse <refcoreml.features.Feature.refuse>` or `argument`.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml.errors import RefCoreMLError, UsageError, harmless

__all__ = [
    "ITEM_LIMIT",
    "PICTURE_LIMIT",
    "Refuse",
    "argument",
    "array",
    "choice",
    "decode",
    "did_you_mean",
    "each",
    "flag",
    "integer",
    "integers",
    "items",
    "mapping",
    "number",
    "path",
    "pixels",
    "reason",
    "shape",
    "shown",
    "text",
    "texts",
    "unmasked",
]

Shape: TypeAlias = tuple[int, ...]

#: The most items of a list or dict, and numbers in nested lists: beyond, an array is the form to pass.
ITEM_LIMIT = 1 << 24
#: The most numbers of an array that repeats memory (`numpy.broadcast_to`), and of a list of arrays.
REPEATED_LIMIT = 1 << 26
#: The most numbers of any array.
ARRAY_LIMIT = 1 << 31
#: The most pixels of a picture, as many as Pillow opens without a warning.
PICTURE_LIMIT = (1 << 28) // 3

_DEEPEST = 32
_LONGEST = 200
_NUMBERS = (int, float, np.number, np.bool_)


class Refuse(Protocol):
    """Makes the error that a function raises for a value."""

    def __call__(self, problem: str, remedy: str = "") -> RefCoreMLError:
        """Return the error."""


def argument(name: str = "", kind: type[RefCoreMLError] = UsageError) -> Refuse:
    """Return what makes the error for a wrong argument of a function."""
    return lambda problem, remedy="": kind(problem, where=name, remedy=remedy)


def is_a(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Return whether a value's type is one of these; unlike `isinstance`, never asks the value."""
    return issubclass(type(value), kinds)


def short(text: str) -> str:
    """Return the text, made harmless and at most a line long."""
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 4 :]}"
    return harmless(cut)


def shown(value: Any) -> str:
    """Return what a value is, in a few words: ``int 5``, ``an array of float32 and shape (2 x 3)``, ``str``."""
    kind = short(type(value).__name__)
    if is_a(value, np.ndarray):
        dtype, lengths = np.ndarray.dtype.__get__(value), np.ndarray.shape.__get__(value)
        return f"an array of {short(str(dtype))} and shape ({' x '.join(map(str, lengths))})"
    if is_a(value, int):
        bits = int.bit_length(value)
        digits = f"of {bits} bits" if bits > 256 else int.__repr__(value)
        return f"{kind} {bool(value) if kind == 'bool' else digits}"
    return f"{kind} {float.__repr__(value)}" if is_a(value, float) else kind


def quoted(value: Any) -> str:
    """Return a value as it is written in Python if that is short and safe, else what it is: for keys and names."""
    if is_a(value, str):
        return short(repr(str.__str__(value)[: 2 * _LONGEST]))
    if type(value) is float or (type(value) is int and int.bit_length(value) <= 64):
        return repr(value)
    return shown(value)


def reason(error: BaseException) -> str:
    """Return what an exception of foreign code says, in a line."""
    try:
        said = short(str(error))
    except Exception:
        said = ""
    kind = short(type(error).__name__)
    return f"{kind}: {said}" if said else kind


def unread(error: BaseException) -> str:
    """Return why a file could not be read, in a line, without the file's path: the message names it in front."""
    said = error.strerror if isinstance(error, OSError) else None
    return short(said) if said else reason(error)


# --- numbers and texts -----------------------------------------------------------------------------------------------


def integer(value: Any, refuse: Refuse, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    """Return an integer of Python or NumPy; booleans are none."""
    if is_a(value, (bool, np.bool_)) or not is_a(value, (int, np.integer)):
        raise refuse(f"got {shown(value)}, expected an integer")
    plain = int.__int__(value) if is_a(value, int) else int(value)
    if not least <= plain <= most:
        limits = f"from {least} to {most}" if most < 2**63 - 1 else f"of {least} or more"
        raise refuse(f"got {shown(plain)}, expected an integer {limits if least > -(2**63) else 'of 64 bits'}")
    return plain


def number(value: Any, refuse: Refuse) -> float:
    """Return a real number of Python or NumPy as a float; booleans are none."""
    if is_a(value, float):
        return float.__float__(value)
    if is_a(value, (bool, np.bool_)) or not is_a(value, (int, np.integer, np.floating)):
        raise refuse(f"got {shown(value)}, expected a number")
    try:
        return float(int.__int__(value) if is_a(value, int) else value)
    except OverflowError:
        raise refuse(f"{shown(value)} is too large for a double") from None


def text(value: Any, refuse: Refuse) -> str:
    """Return a string that can be written as UTF-8."""
    if not is_a(value, str):
        raise refuse(f"got {shown(value)}, expected a string")
    plain = str.__str__(value)
    if not plain.isascii() and any("\ud800" <= character <= "\udfff" for character in plain):
        raise refuse(f"{quoted(plain)} holds half of a surrogate pair, which is no character")
    return plain


def each(value: Any, refuse: Refuse, expected: str = "a list") -> list[Any]:
    """Return the items of anything that ends: a list, a set, a generator; but not of text nor of a mapping."""
    if is_a(value, Sequence) or not is_a(value, Iterable) or is_a(value, (Mapping, np.ndarray)):
        return items(value, refuse, expected)
    try:
        made = list(islice(iter(value), ITEM_LIMIT + 1))
    except Exception as error:
        raise refuse(f"got {shown(value)}, which cannot be read: {reason(error)}") from error
    if len(made) > ITEM_LIMIT:
        raise refuse(f"got more than {ITEM_LIMIT} items")
    return made


def flag(value: Any, refuse: Refuse) -> bool:
    """Return a boolean."""
    if not is_a(value, (bool, np.bool_)):
        raise refuse(f"got {shown(value)}, expected True or False")
    return bool(value)


def integers(value: Any, refuse: Refuse, least: int = -(2**63), most: int = 2**63 - 1) -> list[int]:
    """Return the items of a list that holds integers alone."""
    return [integer(item, refuse, least, most) for item in items(value, refuse, "a list of integers")]


def texts(value: Any, refuse: Refuse) -> list[str]:
    """Return the items of a list that holds strings alone."""
    return [text(item, refuse) for item in items(value, refuse, "a list of strings")]


def path(value: Any, refuse: Refuse) -> Path:
    """Return a path, given as one or as a string that is not empty: Python takes "" for the folder that it is in."""
    if not is_a(value, (str, os.PathLike)):
        raise refuse(f"got {shown(value)}, expected a path")
    try:
        text, found = os.fspath(value), Path(value)
    except Exception as error:
        raise refuse(f"got {shown(value)}, which is no path: {reason(error)}") from error
    if not text:
        raise refuse("got an empty text, expected a path", 'The current folder is "."')
    return found


def similar(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return known names that a mistyped one may stand for, the most similar first; letter case does not matter."""
    lowered = {one.lower(): one for one in known}
    return [lowered[found] for found in get_close_matches(name.lower(), lowered, most)] if len(name) < 200 else []


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question to begin a remedy with, if a known name is similar to a mistyped one; otherwise nothing."""
    return "".join(f"Did you mean {found!r}? " for found in similar(name, known))


def choice(value: Any, known: Iterable[str], refuse: Refuse) -> str:
    """Return a string that is one of those known."""
    listed = list(known)
    if not is_a(value, str) or str.__str__(value) not in listed:
        raise refuse(f"got {quoted(value)}", f"Choose one of {', '.join(listed)}")
    return str.__str__(value)


# --- collections -----------------------------------------------------------------------------------------------------


def mapping(value: Any, refuse: Refuse, expected: str = "a dict") -> dict[Any, Any]:
    """Return a mapping as a plain dict."""
    if type(value) is dict:
        return value
    if not is_a(value, Mapping):
        raise refuse(f"got {shown(value)}, expected {expected}")
    made: dict[Any, Any] = {}
    try:
        for key in islice(iter(value), ITEM_LIMIT + 1):
            made[key] = value[key]
    except Exception as error:
        raise refuse(f"got {shown(value)}, which cannot be read: {reason(error)}", "Pass a plain dict") from error
    if len(made) > ITEM_LIMIT:
        raise refuse(f"got more than {ITEM_LIMIT} entries")
    return made


def items(value: Any, refuse: Refuse, expected: str = "a list") -> list[Any]:
    """Return the items of a list, of another sequence or of an array with dimensions."""
    if is_a(value, (str, bytes, bytearray, Mapping)) or not is_a(value, (Sequence, np.ndarray)):
        remedy = "Pass list(value)" if is_a(value, (Iterator, Set)) else ""
        raise refuse(f"got {shown(value)}, expected {expected}", remedy)
    if is_a(value, np.ndarray):
        _check_size(value, refuse)
    try:
        count = len(value)
        made = list(islice(iter(value), count + 1)) if count <= ITEM_LIMIT else []
    except OverflowError as error:  # such as the length of range(10**30)
        raise refuse(f"got more than {ITEM_LIMIT} items") from error
    except Exception as error:
        raise refuse(f"got {shown(value)}, which cannot be read: {reason(error)}", "Pass a plain list") from error
    if count > ITEM_LIMIT:
        raise refuse(f"got more than {ITEM_LIMIT} items")
    if len(made) != count:
        raise refuse(f"got {shown(value)}, whose length of {count} is not that of its items", "Pass a plain list")
    return made


def shape(value: Any, refuse: Refuse) -> Shape:
    """Return a shape: a sequence of integers of at least 1."""
    lengths = items(value, refuse, "a shape, such as (1, 3, 224, 224)")
    if len(lengths) > _DEEPEST:
        raise refuse(f"got {len(lengths)} dimensions, the most are {_DEEPEST}")

    def wrong(problem: str, remedy: str = "") -> RefCoreMLError:
        return refuse(f"a dimension of the shape: {problem}", remedy)

    return tuple(integer(length, wrong, least=1) for length in lengths)


# --- arrays ----------------------------------------------------------------------------------------------------------

#: Raises if the shape of an array will not do.
CheckShape: TypeAlias = Callable[[Shape], None]


def array(value: Any, refuse: Refuse, check: CheckShape | None = None) -> NDArray[Any]:
    """Return anything that NumPy reads as booleans, integers or floats as an array, which may share its memory.

    Args:
        value: an array, nested lists, a number, or an object that NumPy can convert, such as a tensor of torch.
        refuse: makes the error.
        check: is given the shape before lists are converted, and before a repeating array is found too large.
    """
    made: NDArray[Any] = value if type(value) is np.ndarray else _Reader(refuse, check).read(value)
    if made.dtype.kind not in "biuf":
        problem = f"got {shown(made)}, expected an array of numbers"
        raise refuse(problem, "Integers must fit 64 bits" if made.dtype.kind == "O" and _has_long(value) else "")
    if check is not None:
        check(made.shape)
    _check_size(made, refuse)
    return made


def _check_size(array: NDArray[Any], refuse: Refuse) -> None:
    """Refuse an array that is too large to copy, above all one that takes little memory itself."""
    lengths, steps = np.ndarray.shape.__get__(array), np.ndarray.strides.__get__(array)
    size, itemsize = math.prod(lengths), np.ndarray.itemsize.__get__(array)
    if size <= REPEATED_LIMIT:
        return
    span = itemsize + sum((n - 1) * abs(step) for n, step in zip(lengths, steps, strict=True))
    limit = REPEATED_LIMIT if size * itemsize > 2 * span else ARRAY_LIMIT
    if size > limit:
        raise refuse(f"the array has {size} numbers, the most are {limit}")


def unmasked(value: Any, refuse: Refuse) -> NDArray[Any]:
    """Return what NumPy makes of a value; `numpy.asarray` would take masked entries for numbers."""
    if is_a(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise refuse("has masked entries, which have no value", "Fill them: numpy.ma.filled(value, number)")
        return np.ma.getdata(value)
    return np.asarray(value)


def _has_long(value: Any) -> bool:
    return is_a(value, int) and int.bit_length(value) > 63


class _Reader:
    """Reads one value as an array; nested lists are measured before NumPy sees them."""

    def __init__(self, refuse: Refuse, check: CheckShape | None) -> None:
        self._refuse, self._check = refuse, check
        self._left = ITEM_LIMIT
        # Lists that occur several times are read once; the list is kept so that its id stays its own.
        self._known: dict[int, tuple[Any, Any, Shape]] = {}

    def read(self, value: Any) -> NDArray[Any]:
        if is_a(value, (str, bytes, Mapping)):
            raise self._refuse(f"got {shown(value)}, expected an array of numbers")
        if is_a(value, (Iterator, Set)):
            raise self._refuse(f"got {shown(value)}, expected an array of numbers", "Pass list(value)")
        if not self._is_list(value):
            return self._converted(value)
        made, lengths = self._rows(value, ())
        if self._check is not None:
            self._check(lengths)
        if math.prod(lengths) > REPEATED_LIMIT:
            raise self._too_long()
        return self._converted(made)

    def _too_long(self) -> RefCoreMLError:
        return self._refuse(f"the lists hold more than {ITEM_LIMIT} numbers", "Pass a NumPy array")

    def _is_list(self, value: Any) -> bool:
        if is_a(value, (list, tuple, range)):
            return True
        return is_a(value, Sequence) and not is_a(value, (str, bytes, bytearray, memoryview)) and not _converts(value)

    def _converted(self, value: Any) -> NDArray[Any]:
        if _is_picture(value):
            return pixels(value, self._refuse)
        try:
            return unmasked(value, self._refuse)
        except RefCoreMLError:
            raise
        except Exception as error:
            remedy = "Pass a NumPy array, or rows of equal length"
            raise self._refuse(f"cannot be read as an array: {reason(error)}", remedy) from error

    def _rows(self, value: Any, place: Shape) -> tuple[Any, Shape]:
        """Return what NumPy is to convert, and its shape."""
        if id(value) in self._known:
            return self._known[id(value)][1:]
        if len(place) == _DEEPEST:
            raise self._refuse(f"lists are nested more than {_DEEPEST} deep, or hold themselves")
        rows = items(value, self._refuse)
        self._left -= len(rows)
        if self._left < 0:
            raise self._too_long()
        if all(issubclass(kind, _NUMBERS) for kind in set(map(type, rows))):
            made: list[Any] = rows
            lengths: Shape = (len(rows),)
        else:
            made, lengths = self._nested(rows, place)
        self._known[id(value)] = value, made, lengths
        return made, lengths

    def _nested(self, rows: list[Any], place: Shape) -> tuple[list[Any], Shape]:
        made: list[Any] = []
        first: Shape = ()
        for index, row in enumerate(rows):
            child, lengths = self._row(row, (*place, index))
            if index and lengths != first:
                raise self._refuse(
                    f"cannot be read as an array: the rows at {[*place, 0]} and {[*place, index]} have the shapes "
                    f"{first} and {lengths}",
                    "Pass a NumPy array, or rows of equal length",
                )
            if not index and math.prod(lengths) * len(rows) > (REPEATED_LIMIT if _converts(row) else ITEM_LIMIT):
                raise self._too_long()
            first = lengths
            made.append(child)
        return made, (len(rows), *first)

    def _row(self, row: Any, place: Shape) -> tuple[Any, Shape]:
        if issubclass(type(row), _NUMBERS):
            return row, ()
        if self._is_list(row):
            return self._rows(row, place)
        if not _converts(row):
            raise self._refuse(f"the item at {list(place)} is {shown(row)}, expected a real number")
        if id(row) not in self._known:
            child = self._converted(row)
            self._known[id(row)] = row, child, child.shape
        return self._known[id(row)][1:]


def _converts(value: Any) -> bool:
    """Return whether an object says that NumPy can convert it."""
    kind = type(value)
    protocols = ("__array__", "__array_interface__", "__array_struct__", "__buffer__")
    return is_a(value, (np.ndarray, np.generic, memoryview)) or any(hasattr(kind, name) for name in protocols)


def _is_picture(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # who has a picture has imported it
    return module is not None and is_a(value, module.Image)


def decode(picture: Any, refuse: Refuse) -> None:
    """Decode a PIL image, whose file may be damaged, or larger than its size in bytes suggests."""
    try:
        width, height = picture.size
        if not width * height:
            raise refuse(f"the picture has {width} x {height} pixels, which is none")
        if width * height > PICTURE_LIMIT:
            raise refuse(f"the picture has {width} x {height} pixels, the most are {PICTURE_LIMIT}", "Shrink it")
        picture.load()
    except RefCoreMLError:
        raise
    except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
        raise refuse(f"the image cannot be decoded: {reason(error)}") from error


def pixels(picture: Any, refuse: Refuse) -> NDArray[Any]:
    """Return the pixels of a PIL image."""
    decode(picture, refuse)
    try:
        return np.asarray(picture)
    except Exception as error:
        raise refuse(f"the image cannot be decoded: {reason(error)}") from error
