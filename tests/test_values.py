"""Odd values: each is turned into what it means, or refused in words, soon and within memory."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
from collections import UserDict, UserList, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refcoreml import build, errors, load, values
from refcoreml.errors import InputError, UsageError, harmless
from refcoreml.features import Feature, check_inputs
from refcoreml.spec import schema

RAISED = (RuntimeError, MemoryError, OSError, KeyError)


def feature(type_: schema.FeatureType) -> Feature:
    return Feature.of(schema.FeatureDescription(name="x", type=type_))


ARRAY = feature(build.array(2, 3))
ANY_ARRAY = feature(schema.FeatureType(multiArrayType=schema.ArrayFeatureType(dataType=schema.ArrayFeatureType.DOUBLE)))
IMAGE = feature(build.image(3, 2))
DICTIONARY = feature(schema.FeatureType(dictionaryType=schema.DictionaryFeatureType(stringKeyType={})))
SEQUENCE = feature(schema.FeatureType(sequenceType=schema.SequenceFeatureType(int64Type={})))
INTEGER = feature(schema.FeatureType(int64Type={}))
DOUBLE = feature(schema.FeatureType(doubleType={}))
STRING = feature(schema.FeatureType(stringType={}))
KINDS = {"array": ARRAY, "any array": ANY_ARRAY, "image": IMAGE, "dictionary": DICTIONARY, "sequence": SEQUENCE}
KINDS |= {"integer": INTEGER, "double": DOUBLE, "string": STRING}


class Raising:
    """Raises an error of its own from every method that somebody may call on an input."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def _raise(self, *_: Any, **__: Any) -> Any:
        raise self.error

    __array__ = __len__ = __iter__ = __float__ = __int__ = __index__ = __getitem__ = __bool__ = _raise
    __repr__ = __str__ = __eq__ = __hash__ = _raise
    __class__ = property(_raise)  # type: ignore[assignment]


class RaisingList(UserList[Any]):
    def __len__(self) -> int:
        raise RuntimeError("no length today")


class RaisingMapping(UserDict[Any, Any]):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("no keys today")


class Endless(Sequence[Any]):
    """A sequence that says it is short, and never ends."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return 1


class Number(int):
    def __int__(self) -> int:
        raise RuntimeError("no number today")


def recursive() -> list[Any]:
    made: list[Any] = [1]
    made.append(made)
    return made


def wide(depth: int = 40) -> list[Any]:
    """A list of 2 to the power of ``depth`` numbers that takes the room of ``depth`` lists."""
    made: list[Any] = [1, 2]
    for _ in range(depth - 1):
        made = [made, made]
    return made


def truncated(mode: str = "RGB") -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)).convert(mode).save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2]))


ODD: dict[str, Any] = {
    **{f"raises {kind.__name__}": Raising(kind("not today")) for kind in RAISED},
    "a list that raises": RaisingList([1, 2]),
    "a mapping that raises": RaisingMapping({"a": 1}),
    "objects": np.array([[object()] * 3] * 2),
    "structured": np.zeros((2, 3), [("a", np.float32), ("b", np.int8)]),
    "strings": np.array([["a"] * 3] * 2),
    "bytes": np.array([[b"a"] * 3] * 2),
    "dates": np.zeros((2, 3), "datetime64[s]"),
    "durations": np.zeros((2, 3), "timedelta64[s]"),
    "complex": np.zeros((2, 3), np.complex128),
    "masked": np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3)),
    "a long integer": 10**5000,
    "long integers": [[10**5000] * 3] * 2,
    "a long range": range(10**18),
    "a longer range": range(10**30),
    "ranges": [range(10**18), range(10**18)],
    "recursive": recursive(),
    "wide": wide(30),
    "deep": wide(400),
    "broadcast": np.broadcast_to(np.float64(1), (1 << 20, 1 << 20)),
    "a generator": (number for number in range(6)),
    "a set": {1, 2, 3},
    "truncated picture": truncated(),
    "truncated picture with alpha": truncated("RGBA"),
    "truncated pictures": [truncated(), truncated()],
    "half of a surrogate pair": "\ud800",
    "mixed keys": {"a": 1, 2: 2, None: 3, 1.5: 4},
    "NaN as key": {float("nan"): 1, "a": 2},
    "a long key": {10**5000: 1},
    "a raising key's value": {"a": Raising(RuntimeError("not today"))},
    "raising items": [Raising(RuntimeError("not today"))],
    "ragged": [[1, 2, 3], [4, 5]],
    "none": [None],
    "type": int,
    "module": np,
    "ellipsis": ...,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [name for name in ODD if name not in ("half of a surrogate pair",)])
def test_odd_values_are_refused_with_the_place_and_the_expectation(odd: str, kind: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        check_inputs([KINDS[kind]], {"x": ODD[odd]})
    assert time.perf_counter() - started < 2
    assert caught.value.where == f"input 'x', {KINDS[kind].describe()}"
    assert 0 < len(caught.value.problem) < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_a_surrogate_pair_is_no_text(kind: str) -> None:
    with pytest.raises(InputError):
        check_inputs([KINDS[kind]], {"x": "\ud800"})


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6)[::-1].reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)[:, ::-1]),
        np.arange(6).reshape(2, 3).view(np.memmap),
        np.ma.masked_array(np.arange(6).reshape(2, 3), mask=False),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.frombuffer(b"\0" + np.arange(6, dtype=np.float32).tobytes(), np.float32, offset=1).reshape(2, 3),
        np.broadcast_to(np.arange(3.0), (2, 3)),
        [range(3), deque([3, 4, 5])],
        (UserList([1, 2, 3]), np.arange(3)),
        [[np.float32(1), True, 3], [4, 5.5, 6]],
    ],
)
def test_arrays_of_unusual_forms_mean_what_numpy_says(value: Any) -> None:
    expected = np.array([list(row) for row in value], np.float32)
    found = check_inputs([ARRAY], {"x": value})["x"]
    assert type(found) is np.ndarray
    assert found.flags.c_contiguous
    assert found.flags.aligned
    np.testing.assert_array_equal(found, expected)


def test_a_repeating_array_is_refused_before_it_is_copied() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"has \d+ numbers, the most are"):
            check_inputs([ANY_ARRAY], {"x": np.broadcast_to(np.float32(1), (1 << 15, 1 << 15))})
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_lists_are_measured_before_they_are_converted() -> None:
    with pytest.raises(InputError, match=r"does not match the shape \(2 x 3\)"):
        check_inputs([ARRAY], {"x": wide(20)})
    with pytest.raises(InputError, match="more than"):
        check_inputs([ANY_ARRAY], {"x": wide(30)})


def test_subclasses_of_numbers_and_texts_become_plain_ones() -> None:
    class Text(str):
        def __str__(self) -> str:
            raise RuntimeError("no text today")

    found = check_inputs([INTEGER], {"x": Number(7)})["x"]
    assert (found, type(found)) == (7, int)
    assert type(check_inputs([STRING], {"x": Text("a")})["x"]) is str
    assert check_inputs([DICTIONARY], {"x": {Text("a"): Number(2)}})["x"] == {"a": 2.0}


def test_pictures_beyond_the_limit_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = schema.ImageFeatureType.ImageSizeRange(
        widthRange=schema.SizeRange(lowerBound=1, upperBound=-1),
        heightRange=schema.SizeRange(lowerBound=1, upperBound=-1),
    )
    type_ = schema.ImageFeatureType(colorSpace=schema.ImageFeatureType.RGB, width=3, height=2, imageSizeRange=sizes)
    monkeypatch.setattr(values, "PICTURE_LIMIT", 5)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(InputError, match="3 x 2 pixels, the most are 5"):
        check_inputs([feature(schema.FeatureType(imageType=type_))], {"x": Image.new("RGB", (3, 2))})


class OddMapping(Mapping[Any, Any]):
    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield "x"

    def __getitem__(self, key: Any) -> Any:
        raise OSError("gone")


ODD_INPUTS: dict[str, Any] = {
    "a mapping whose values raise": OddMapping(),
    "a mapping that raises": RaisingMapping(x=1),
    "a list that raises": RaisingList([1]),
    "an object that raises": Raising(OSError("no")),
    "an endless sequence": Endless(),
    "a class as name": {Raising: 1},
    "none as name": {None: 1},
    "a surrogate as name": {"\ud800": 1},
    "a long integer as name": {10**5000: 1},
    "a tuple as name": {("x", 1): 2},
    "nothing": {},
    "a number": 5,
    "none": None,
    "a string": "x",
    "bytes": b"x",
    "a long range": range(10**18),
    "a longer range": range(10**30),
    "a number in a list": [1],
    "empty dicts": [{}, {}],
}


@pytest.mark.parametrize("odd", ODD_INPUTS)
def test_inputs_that_are_no_dict_by_name(odd: str) -> None:
    model, inputs = _model(), ODD_INPUTS[odd]
    for call in (model.predict, lambda given: list(model.trace(given)), lambda given: model.predict([given, given])):
        with pytest.raises(InputError):
            call(inputs)


def test_the_errors_of_a_batch_name_the_sample() -> None:
    with pytest.raises(InputError, match=r"^sample 1, input 'x'"):
        _model().predict([{"x": np.ones((2, 3))}, {"x": "a"}, {"x": np.ones((2, 3))}])


@pytest.mark.parametrize(
    "given", [[], 5, {"y": (2, 3)}, {5: (2, 3)}, {"x": 5}, {"x": "23"}, {"x": (2, 0)}, {"x": (2.0, 3)}]
)
def test_shapes_that_are_none(given: Any) -> None:
    with pytest.raises(InputError):
        _model().shapes(given)


@pytest.mark.parametrize("given", [{"x": (2, 10**5000)}, {"x": range(10**18)}, {"x": [True, 3]}, {"x": (1,) * 100}])
def test_shapes_of_no_size(given: Any) -> None:
    with pytest.raises(InputError, match="shape of input 'x'"):
        _model().shapes(given)


def _model() -> Any:
    net = build.Network({"x": (2, 3)}, ["y"], exact=True)
    net.add("activation", outputs="y", ReLU={})
    return load(net.spec())


def test_names_that_a_mistyped_one_may_stand_for() -> None:
    known = ("image", "imageMask", "state")
    assert values.similar("IMGAE", known) == ["image"]
    assert values.similar("imagemask", known, 3) == ["imageMask", "image"]
    assert values.similar("x" * 10**6, known) == []
    assert values.did_you_mean("stat", known) == "Did you mean 'state'? "
    assert values.did_you_mean("q", known) == ""


def test_an_empty_text_is_no_path() -> None:
    class Nowhere:
        def __fspath__(self) -> str:
            return ""

    for path in ("", Nowhere()):
        with pytest.raises(UsageError, match=r'place: got an empty text, expected a path\. The current folder is "\."'):
            values.path(path, values.argument("place"))
    assert str(values.path(".", values.argument("place"))) == "."


# --- text ------------------------------------------------------------------------------------------------------------


def test_harmless_text_cannot_steer_a_terminal_nor_hide() -> None:
    import unicodedata

    for code in [*range(0x30000), *range(0xE0000, 0xE1000)]:
        character = chr(code)
        shown = harmless(f"a{character}b")
        kind = unicodedata.category(character)
        steers = kind in ("Cc", "Cs", "Zl", "Zp") or (
            unicodedata.bidirectional(character)
            in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN")
            and kind == "Cf"
            and code not in (0x200C, 0x200D, 0x110BD, 0x110CD)
            and not 0x13430 <= code <= 0x13455
        )
        assert (shown != f"a{character}b") or not steers, hex(code)
        if character.isprintable() and code not in (0x115F, 0x1160, 0x3164, 0xFFA0, 0xFFFC, 0xFFFD):
            assert shown == f"a{character}b", hex(code)


def test_harmless_text_reads_as_python_writes_it() -> None:
    assert harmless("a\x1b[2J\x9b1m\u202eb\nc") == "a\\x1b[2J\\x9b1m\\u202eb\\nc"
    assert harmless("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert harmless("\ufffe\uffff\ufffd") == "\\ufffe\\uffff\ufffd"  # the first two are no characters, nor XML
    assert harmless("größe 尺寸 👩\u200d🔬") == "größe 尺寸 👩\u200d🔬"


def test_errors_are_harmless_and_keep_lines_but_in_the_place() -> None:
    error = errors.InvalidModelError("bad\x1b[2J\nnext", where="layer a\nb\x9b", remedy="write\n  this\u202e")
    assert str(error) == "layer a\\nb\\x9b: bad\\x1b[2J\nnext. write\n  this\\u202e"
    assert error.problem == "bad\x1b[2J\nnext"


# --- arguments -------------------------------------------------------------------------------------------------------


def test_arguments_are_refused_by_name() -> None:
    refuse = values.argument("bits")
    assert values.integer(np.int8(3), refuse, 1, 8) == 3
    with pytest.raises(UsageError, match=r"^bits: got int 9, expected an integer from 1 to 8$"):
        values.integer(9, refuse, 1, 8)
    with pytest.raises(UsageError, match=r"^bits: got int of 16610 bits, expected an integer of 64 bits$"):
        values.integer(10**5000, refuse)
    for odd in (True, 3.0, "3", None, Raising(OSError("no")), np.True_):
        with pytest.raises(UsageError, match=r"^bits: got "):
            values.integer(odd, refuse)
    with pytest.raises(UsageError, match="too large for a double"):
        values.number(10**5000, refuse)
    with pytest.raises(UsageError, match=r"^bits: got 'c'. Choose one of a, b$"):
        values.choice("c", "ab", refuse)
    with pytest.raises(UsageError, match=r"^bits: got list. Choose"):
        values.choice([], "ab", refuse)


def test_pictures_of_no_size_and_many_references_to_one() -> None:
    with pytest.raises(InputError, match="0 x 3 pixels"):
        check_inputs([ANY_ARRAY], {"x": Image.new("L", (0, 3))})
    pictures = [Image.new("L", (4, 3), 7)] * 5
    np.testing.assert_array_equal(check_inputs([ANY_ARRAY], {"x": pictures})["x"], np.full((5, 3, 4), 7.0))
    started = time.perf_counter()
    with pytest.raises(InputError, match="more than"):
        check_inputs([ANY_ARRAY], {"x": [Image.new("L", (100, 100))] * 100_000})
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel_size": wide(40)},
        {"kernel_size": range(10**18)},
        {"weights": np.broadcast_to(np.float32(1), (1 << 15, 1 << 15))},
        {"bias": Raising(OSError("no"))},
        {"kernel_size": [3, Raising(OSError("no"))]},
        {"kernel_size": (Raising(OSError("no")),)},
        {"valid": {"paddingAmounts": {10**5000: 1}}},
        {"name": Raising(OSError("no"))},
        {"outputs": ["\ud800"]},
    ],
    ids=[
        "wide",
        "long",
        "repeated",
        "raising",
        "raising item",
        "raising in a tuple",
        "long key",
        "raising name",
        "surrogate",
    ],
)
def test_fields_of_layers_that_are_none(fields: dict[str, Any]) -> None:
    started = time.perf_counter()
    with pytest.raises(UsageError) as caught:
        build.Network({"x": (3,)}, ["y"]).add("convolution", **fields)
    assert time.perf_counter() - started < 2
    assert len(str(caught.value)) < 1000


def test_paths_that_are_none() -> None:
    class Raises(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise OSError("no path today")

    for odd in (None, 5, b"x", Raises(), Raising(OSError("no"))):
        with pytest.raises(UsageError, match=r"^directory: got "):
            values.path(odd, values.argument("directory"))
