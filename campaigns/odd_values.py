"""Values that nobody expects: whatever Python, NumPy and Pillow can make, and objects that raise, lie or never end."""

from __future__ import annotations

import array as arrays
import collections
import datetime
import decimal
import enum
import fractions
import io
import itertools
import pathlib
import random
import struct
import types
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib import stride_tricks
from PIL import Image

__all__ = ["OddValues", "disguised"]

ERRORS: list[type[Exception]] = [
    *(RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError, OSError, MemoryError, OverflowError),
    *(ZeroDivisionError, RecursionError, StopIteration, UnicodeError, AssertionError, NotImplementedError),
]
_METHODS = ["array", "len", "iter", "float", "int", "index", "getitem", "bool", "repr", "str", "eq", "hash", "contains"]
_METHODS += ["array_interface", "array_struct", "fspath", "getattribute", "complex", "next", "call", "instancecheck"]
_DTYPES = ["?", "i1", "u1", "<i2", ">i2", "i4", "u4", "<i8", ">i8", "u8", "f2", "<f4", ">f4", "f8", "g", "F", "D", "U3"]
_DTYPES += ["S3", "M8[s]", "m8[s]", "O", "V4", "i4,f4"]


class Number(enum.IntEnum):
    """Integers that are members of an enumeration."""

    ONE = 1
    TWO = 2


def raising(rng: random.Random) -> Any:
    """Return an object of a class some of whose methods raise."""

    def method(error: Exception) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise error

        return call

    chosen = rng.sample(_METHODS, rng.randint(1, len(_METHODS)))
    if "getattribute" in chosen and rng.random() < 0.5:
        chosen.remove("getattribute")
    body: dict[str, Any] = {f"__{name}__": method(rng.choice(ERRORS)("not \x1b[2J today")) for name in chosen}
    if rng.random() < 0.2:
        body["__class__"] = property(method(rng.choice(ERRORS)("no class")))
    if "eq" in chosen and "hash" not in chosen:
        body["__hash__"] = object.__hash__
    base = rng.choice([object, object, collections.UserList, collections.UserDict, collections.UserString])
    made = type(rng.choice(["Odd", "Odd\x1b[2J", "X" * 3000]), (base,), body)
    value = object.__new__(made)
    object.__setattr__(value, "data", rng.choice(["odd", [1], {"x": 1}]))  # where the bases keep their content
    return value


class Lying(Sequence[Any]):
    """A sequence whose length is not what it says."""

    def __init__(self, length: Any, item: Any) -> None:
        self._length, self._item = length, item

    def __len__(self) -> int:
        return self._length  # type: ignore[no-any-return]

    def __getitem__(self, index: Any) -> Any:
        return self._item


class Endless(Mapping[Any, Any]):
    """A mapping whose keys change while it is read."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield from self._keys
        raise LookupError("no more keys today")

    def __getitem__(self, key: Any) -> Any:
        return 1


class Convertible:
    """An object that NumPy converts to whatever it holds."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self._value


class Wrapped(np.ndarray[Any, Any]):
    """A subclass of arrays that raises when it is looked at more closely."""

    def __array_finalize__(self, _: Any) -> None:
        pass

    def __len__(self) -> int:
        raise RuntimeError("no length today")


def disguised(rng: random.Random, value: np.ndarray[Any, Any]) -> Any:
    """Return the same array in another form, which has to be taken as it is."""
    ways: list[Callable[[], Any]] = [
        lambda: value.tolist(),
        lambda: np.asfortranarray(value),
        lambda: value[..., ::-1].copy()[..., ::-1],
        lambda: value.astype(np.float64).astype(">f8"),
        lambda: np.frombuffer(b"\0" + value.tobytes(), value.dtype, value.size, 1).reshape(value.shape),
        lambda: Convertible(value),
        lambda: list(value),
        lambda: collections.UserList(value.tolist()),
        lambda: collections.deque(value),
        lambda: np.ma.masked_array(value),
        lambda: value.view(np.memmap),
        lambda: memoryview(np.ascontiguousarray(value)),
        lambda: np.broadcast_to(value.reshape(-1)[:1], value.shape),
    ]
    made = rng.choice(ways)()
    if isinstance(made, np.ndarray) and rng.random() < 0.3:
        made = made.view()
        made.flags.writeable = False
    return made


class OddValues:
    """Draws odd values.

    Args:
        rng: what they are drawn from.
        names: names that keys of dictionaries may have, besides others.
    """

    def __init__(self, rng: random.Random, names: Sequence[str] = ()) -> None:
        self.rng, self._names = rng, names
        self._groups = [self.scalar, self.text, self.array, self.container, self.mapping, self.hostile, self.picture]

    def any(self, depth: int = 0) -> Any:
        """Return a value of any kind."""
        return self.rng.choice(self._groups if depth < 3 else self._groups[:3])(depth)

    def scalar(self, _: int = 0) -> Any:
        """Return a single thing, mostly a number."""
        rng = self.rng
        numbers: list[Any] = [None, True, False, 0, 1, -1, 7, 255, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 10**5000]
        numbers += [-0.0, 0.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf"), 1j, complex("nan")]
        numbers += [decimal.Decimal("0.1"), decimal.Decimal("sNaN"), fractions.Fraction(1, 3), Number.TWO, ...]
        numbers += [int, len, np, type, object(), datetime.date(2020, 1, 1), NotImplemented, lambda: 0, slice(3)]
        numbers += [pathlib.Path("x"), pathlib.Path("/dev/null"), io.BytesIO(b"x"), io.StringIO("x")]
        numbers += [np.bool_(True), np.int8(-1), np.uint64(2**64 - 1), np.float16(7), np.longdouble("1e4000")]
        numbers += [np.complex64(1), np.str_("x"), np.bytes_(b"x"), np.datetime64("NaT"), np.void(b"ab"), np.float64(2)]
        return rng.choice(numbers)

    def text(self, _: int = 0) -> Any:
        """Return a string, or something like one."""
        rng = self.rng
        texts: list[Any] = [
            "",
            "x",
            "0",
            "1,2",
            "nan",
            "\0",
            "\ud800",
            "a\x1b[2J\x9b",
            "\u202eabc",
            "größe",
            "=cmd|",
            "-1",
        ]
        texts += ["x" * 100_000, "\n" * 50, "../../x", "/dev/zero", "fill", "linear", "folders", "matrices", "count>=9"]
        texts += [b"", b"x", b"\xff", bytearray(b"ab"), memoryview(b"abcd"), collections.UserString("x"), "9" * 10_000]
        texts += ["$\\frac", "[/bold]", "{x}", "%s%n", "kind=" + "(" * 50, "*" * 200, *self._names]
        if rng.random() < 0.2:
            return "".join(
                chr(rng.choice([rng.randrange(0x300), rng.randrange(0x110000)])) for _ in range(rng.randint(1, 9))
            )
        return rng.choice(texts)

    def shape(self) -> tuple[int, ...]:
        """Return a small shape, which may hold zeros."""
        rng = self.rng
        known = [
            (),
            (0,),
            (1,),
            (3,),
            (2, 3),
            (4, 6, 3),
            (4, 6),
            (3, 4, 6),
            (1, 2, 3),
            (1, 1, 3, 1, 1),
            (1,) * 7,
            (1,) * 20,
        ]
        return rng.choice(known) if rng.random() < 0.7 else tuple(rng.randrange(5) for _ in range(rng.randrange(7)))

    def array(self, depth: int = 0) -> Any:
        """Return an array, of any type and form."""
        rng, shape = self.rng, self.shape()
        size = int(np.prod(shape, dtype=np.int64))
        dtype = np.dtype(rng.choice(_DTYPES))
        if dtype.kind == "O":
            made = np.empty(shape, object)
            made[...] = 1
            if size:
                made.reshape(-1)[rng.randrange(size)] = self.any(depth + 2) if rng.random() < 0.5 else None
        else:
            raw = (
                bytes(rng.randrange(256) for _ in range(min(size * dtype.itemsize, 64)))
                if rng.random() < 0.4
                else b"\0"
            )
            content = (raw * (size * dtype.itemsize // max(len(raw), 1) + 1))[: size * dtype.itemsize]
            if dtype.kind == "U":
                content = b"a\0\0\0" * (size * dtype.itemsize // 4)
            made = np.frombuffer(content, dtype, size).reshape(shape) if size else np.zeros(shape, dtype)
        forms: list[Callable[[], Any]] = [
            lambda: made,
            lambda: made,
            lambda: made.T,
            lambda: made[..., ::-1] if made.ndim else made,
            lambda: made.view(Wrapped),
            lambda: made.view(np.recarray),
            lambda: np.ma.masked_array(made, mask=rng.random() < 0.5),
            lambda: np.ma.masked_all((2, 3)),
            lambda: np.broadcast_to(np.float32(1), rng.choice([(2, 3), (1 << 20, 1 << 20), (1 << 30,), (3, 1 << 28)])),
            lambda: stride_tricks.as_strided(np.zeros(1, np.float32), (1 << 14, 1 << 14), (0, 0)),
            lambda: stride_tricks.sliding_window_view(np.zeros(3000, np.float32), 1500),
            lambda: Convertible(made),
            lambda: np.lib.mixins.NDArrayOperatorsMixin(),
            lambda: arrays.array(rng.choice("bBhilqfd"), [1, 2, 3]),
        ]
        return rng.choice(forms)()

    def container(self, depth: int = 0) -> Any:
        """Return a list, or something like one, of odd things."""
        rng = self.rng
        items = [self.any(depth + 1) for _ in range(rng.randrange(4))]
        wide: list[Any] = [1.0, 2.0]
        for _ in range(rng.choice([5, 30, 500])):
            wide = [wide, wide]
        itself: list[Any] = [1]
        itself.append(itself)
        forms: list[Callable[[], Any]] = [
            lambda: items,
            lambda: tuple(items),
            lambda: [items, items],
            lambda: collections.UserList(items),
            lambda: collections.deque(items),
            lambda: [[1.0, 2.0, 3.0], rng.choice([[4.0, 5.0], 6.0, [], [7, 8, None], [7, "8", 9], [10**30] * 3])],
            lambda: wide,
            lambda: itself,
            lambda: range(rng.choice([0, 3, 10**6, 10**18, 10**30])),
            lambda: (item for item in items),
            lambda: iter([1, 2, 3]),
            lambda: itertools.count(),
            lambda: map(float, items),
            lambda: {1, 2, 3},
            lambda: frozenset("ab"),
            lambda: {"a": 1}.values(),
            lambda: [rng.choice(items or [1])] * 100_000,
            lambda: Lying(rng.choice([-1, 0, 2, 3, 10**9, 2.0, None]), self.scalar()),
            lambda: collections.namedtuple("Pair", "a b")(1, self.any(depth + 1)),
            lambda: [np.zeros(3, np.float32), self.array(depth + 1)],
        ]
        return rng.choice(forms)()

    def mapping(self, depth: int = 0) -> Any:
        """Return a dictionary, or something like one."""
        rng = self.rng
        made: dict[Any, Any] = {}
        for _ in range(rng.randrange(4)):
            try:
                key = rng.choice([*self._names, self.scalar(), self.text(), (1, "x"), float("nan")])
                made[key] = self.any(depth + 1)
            except Exception:  # what cannot be a key
                continue
        forms: list[Callable[[], Any]] = [
            lambda: made,
            lambda: made,
            lambda: collections.OrderedDict(made),
            lambda: collections.defaultdict(list, made),
            lambda: types.MappingProxyType(made),
            lambda: collections.ChainMap(made, {}),
            lambda: collections.UserDict(made),
            lambda: Endless(list(made)),
            lambda: type("Shy", (dict,), {"items": lambda _: 1 / 0, "__iter__": lambda _: 1 / 0})(made),
            lambda: {float("nan"): 1, "a": 2.0},
            lambda: dict.fromkeys(range(10_000), 1.0),
        ]
        return rng.choice(forms)()

    def hostile(self, depth: int = 0) -> Any:
        """Return an object that raises, or something that holds one."""
        made = raising(self.rng)
        return self.rng.choice([made, made, [made], (made, 1), {"x": made}, Convertible(made), [[1, made]]])

    def picture(self, _: int = 0) -> Any:
        """Return a picture, whole or damaged, or the path of one."""
        rng = self.rng
        size = rng.choice([(6, 4), (6, 4), (1, 1), (4, 6), (300, 200), (0, 0), (5000, 1)])
        mode = rng.choice(
            ["RGB", "RGB", "L", "RGBA", "LA", "P", "1", "F", "I", "I;16", "CMYK", "YCbCr", "HSV", "La", "RGBa"]
        )
        whole = Image.new(mode, size)
        forms: list[Callable[[], Any]] = [
            lambda: whole,
            lambda: self._lazy(truncated=True),
            lambda: self._lazy(truncated=False),
            lambda: [self._lazy(truncated=True)] * 2,
            lambda: self._closed(),
            lambda: self._bomb(),
            lambda: Image.open(io.BytesIO(_gif())),
        ]
        return rng.choice(forms)()

    def _lazy(self, *, truncated: bool) -> Image.Image:
        file = io.BytesIO()
        format_ = self.rng.choice(["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"])
        mode = "RGBA" if format_ == "PNG" and self.rng.random() < 0.3 else "RGB"
        pixels = np.frombuffer(self.rng.randbytes(64 * 48 * 3), np.uint8).reshape(48, 64, 3)
        try:
            Image.fromarray(pixels).convert(mode).save(file, format_)
            content = file.getvalue()
            return Image.open(io.BytesIO(content[: len(content) // 2] if truncated else content))
        except Exception:  # a build of Pillow without that format, or one that reads the end first
            return Image.new(mode, (6, 4))

    def _closed(self) -> Image.Image:
        made = Image.new("RGB", (6, 4))
        made.close()
        return made

    def _bomb(self) -> Image.Image:
        """Return a small file that says it holds many pixels."""

        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        head = struct.pack(">IIBBBBB", *self.rng.choice([(13000, 13000), (9000, 9900)]), 8, 2, 0, 0, 0)
        content = zlib.compress(bytes(100_000))
        file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
        try:
            return Image.open(io.BytesIO(file))
        except Exception:  # where warnings are errors
            return Image.new("RGB", (1, 1))


def _gif() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("P", (6, 4), color) for color in (1, 2)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()
