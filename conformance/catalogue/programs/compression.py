"""Constants made of compressed ones (constexpr_...), quantize and dequantize.

A constant by itself is no output of a program. Where nothing else is the point, y = x + constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.data import Source
from conformance.catalogue.plan import Array
from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, op, program, refused

_KINDS = "integers zero-mean fp16:integers fp16:zero-mean"
_SHORT = "integers fp16:zero-mean"
#: Of so many bits are the codes of tables.
_BITS = (1, 2, 3, 4, 6, 8)


def plans() -> Iterator[ProgramPlan]:
    yield from _affine()
    yield from _blockwise()
    yield from _tables()
    yield from _sparse()
    yield from _sparse_tables()
    yield from _sparse_blockwise()
    yield from _cast()
    yield from _activations()
    yield from op(
        "conv_quantized",  # how its weights are packed is not specified
        "any",
        kinds="integers",
        x=X(1, 2, 5, 6),
        weight=C(3, 2, 2, 3, type="uint8"),
        quantization_type="linear",
        nbits=8,
        quant_scale=C(3),
        quant_bias=C(3),
        results=[("fp32", (1, 3, 4, 4))],
        verdict="unsupported-ok",
    )


def _added(
    kind: str, label: str, shape: tuple[int, ...], /, kinds: str = _KINDS, **given: Any
) -> Iterator[ProgramPlan]:
    """Yield cases of y = x + constant."""
    options = {name: given.pop(name) for name in ("opset", "clauses", "verdict", "rule", "change") if name in given}

    def make(p: Making) -> Any:
        results = [(p.element, shape)] if "verdict" in options else None
        return p.add("add", x=p["x"], y=p.add(kind, outputs=results, **given), outputs=results)

    return program(kind, label, make, {"x": X(*shape)}, kinds=kinds, **options)


def _used(kind: str, label: str, kinds: str, opset: str, **given: Any) -> Iterator[ProgramPlan]:
    """Yield cases of a constant [4, 6] as the weights of a linear operation."""

    def make(p: Making) -> Any:
        return p.add("linear", x=p["x"], weight=p.add(kind, **given), bias=C(4))

    return program(kind, label, make, {"x": X(3, 6)}, kinds=kinds, opset=opset)


def _refused(kind: str, label: str, rule: str, shape: tuple[int, ...], /, **given: Any) -> Iterator[ProgramPlan]:
    return _added(kind, f"invalid-{label}", shape, "integers", verdict="invalid", rule=rule, **given)


# ---- Integers with a scale ----


def _affine() -> Iterator[ProgramPlan]:
    kind, shape = "constexpr_affine_dequantize", (4, 3)
    for element in ("int8", "uint8"):
        codes = C(*shape, type=element, kind="full")
        one: dict[str, Any] = {"quantized_data": codes, "scale": C(), "zero_point": C(type=element), "axis": 0}
        each = {**one, "scale": C(4), "zero_point": C(4, type=element)}
        yield from _added(kind, f"{element}-one", shape, **one)
        yield from _added(kind, f"{element}-each-row", shape, **each)
        yield from _added(
            kind,
            f"{element}-each-column",
            shape,
            _SHORT,
            **{**each, "scale": C(3), "zero_point": C(3, type=element), "axis": -1},
        )
        yield from _added(kind, f"{element}-negative-axis", shape, "integers", **{**each, "axis": -2})
        yield from _added(kind, f"{element}-scales-one-point", shape, _SHORT, **{**each, "zero_point": C(type=element)})
        yield from _added(kind, f"{element}-float-point", shape, _SHORT, **{**one, "zero_point": C()})
    codes = C(4, 6, type="int8", kind="full")
    yield from _used(
        kind, "weights", _SHORT, "", quantized_data=codes, scale=C(4), zero_point=C(4, type="int8"), axis=0
    )
    whole = {"quantized_data": C(*shape, type="uint8", kind="full"), "zero_point": C(type="uint8")}
    yield from _refused(kind, "scales", "there is one scale, or one for each place", shape, scale=C(2), axis=0, **whole)
    yield from _refused(kind, "axis", "the axis exists", shape, scale=C(4), axis=2, **whole)
    yield from _refused(
        kind,
        "codes",
        "codes are of 8 bits",
        shape,
        scale=C(),
        axis=0,
        quantized_data=C(*shape, type="int32"),
        zero_point=C(type="int8"),
    )


def _blockwise() -> Iterator[ProgramPlan]:
    kind, shape = "constexpr_blockwise_shift_scale", (4, 6)
    for element in ("int4", "uint4", "int8", "uint8"):
        data = C(*shape, type=element, kind="full")
        yield from _added(
            kind, f"{element}-rows", shape, data=data, scale=C(4, 1), offset=C(4, 1, type=element, kind="full")
        )
        yield from _added(kind, f"{element}-blocks", shape, _SHORT, data=data, scale=C(2, 3))
        yield from _added(kind, f"{element}-float-offset", shape, _SHORT, data=data, scale=C(4, 2), offset=C(4, 2))
    yield from _added(kind, "float-data", shape, _SHORT, data=C(*shape), scale=C(2, 2), offset=C(2, 2))
    yield from _added(kind, "each", shape, _SHORT, data=C(*shape, type="uint8", kind="full"), scale=C(*shape))
    yield from _added(kind, "rank-1", (12,), _SHORT, data=C(12, type="int4", kind="full"), scale=C(4))
    yield from _added(kind, "odd", (3, 5), _SHORT, data=C(3, 5, type="int4", kind="full"), scale=C(3, 1))
    yield from _added(
        kind,
        "rank-4",
        (4, 2, 3, 5),
        _SHORT,
        data=C(4, 2, 3, 5, type="int8", kind="full"),
        scale=C(4, 1, 1, 1),
        offset=C(4, 1, 1, 1),
    )
    yield from _used(kind, "weights", _SHORT, "", data=C(4, 6, type="int4", kind="full"), scale=C(4, 2))
    data = C(*shape, type="int8", kind="full")
    yield from _refused(kind, "blocks", "lengths of scale divide those of data", shape, data=data, scale=C(3, 1))
    yield from _refused(kind, "rank", "scale has the rank of data", shape, data=data, scale=C(4))
    yield from _refused(
        kind, "offset", "offset has the shape of scale", shape, data=data, scale=C(4, 1), offset=C(1, 1)
    )
    yield from _refused(
        kind,
        "offset-type",
        "offset has data's type, or floats",
        shape,
        data=data,
        scale=C(4, 1),
        offset=C(4, 1, type="uint8"),
    )


# ---- Lookup tables ----


def _packed(codes: Array, bits: int) -> Array:
    """Return codes of few bits one after another, the least significant bit first."""
    every = (codes.reshape(-1, 1).astype(np.int64) >> np.arange(bits)) & 1
    return np.packbits(every.reshape(-1).astype(np.uint8), bitorder="little")


def _tables() -> Iterator[ProgramPlan]:
    kind, shape = "constexpr_lut_to_dense", (3, 5)
    for bits in (1, 2, 4, 6, 8):

        def packed(source: Source, data: str, bits: int = bits) -> Array:
            return _packed(source.integers((15,), 0, 2**bits - 1), bits)

        count = (15 * bits + 7) // 8
        yield from _added(
            kind,
            f"packed-{bits}",
            shape,
            _KINDS if bits == 4 else _SHORT,
            indices=C(count, value=packed, type="uint8"),
            lut=C(2**bits),
            shape=np.array(shape, np.uint32),
            opset="CoreML6",
        )
    for bits in _BITS:
        indices = C(*shape, type=f"uint{bits}", kind="full")
        yield from _added(
            kind,
            f"table-{bits}",
            shape,
            _KINDS if bits == 4 else _SHORT,
            indices=indices,
            lut=C(1, 1, 2**bits, 1),
            opset="CoreML8",
        )
    wide: dict[str, Any] = {"opset": "CoreML8", "kinds": _SHORT}
    yield from _added(kind, "groups", (4, 6), indices=C(4, 6, type="uint2", kind="full"), lut=C(2, 3, 4, 1), **wide)
    yield from _added(kind, "rows", (4, 6), indices=C(4, 6, type="uint3", kind="full"), lut=C(4, 1, 8, 1), **wide)
    vectors = {"indices": C(2, 6, type="uint2", kind="full"), "lut": C(1, 1, 4, 2)}
    yield from _added(kind, "vectors-0", (4, 6), vector_axis=0, **vectors, **wide)
    yield from _added(kind, "vectors-1", (2, 12), vector_axis=1, **vectors, **wide)
    yield from _added(kind, "vectors-negative", (2, 12), vector_axis=-1, **vectors, **wide)
    yield from _added(
        kind,
        "groups-of-vectors",
        (4, 6),
        vector_axis=0,
        indices=C(2, 6, type="uint2", kind="full"),
        lut=C(1, 3, 4, 2),
        **wide,
    )
    for element in ("int8", "uint8"):

        def joint(p: Making, element: str = element) -> Any:
            """Return x + what a table of integers with a scale gives."""
            indices = C(4, 6, type="uint3", kind="full")
            data = p.add(kind, indices=indices, lut=C(1, 1, 8, 1, type=element, kind="full"))
            made = p.add("constexpr_blockwise_shift_scale", data=data, scale=C(4, 1), offset=C(4, 1, type=element))
            return p.add("add", x=p["x"], y=made)

        yield from program(kind, f"{element}-table", joint, {"x": X(4, 6)}, kinds=_KINDS, opset="CoreML8")
    codes = C(4, 6, type="uint4", kind="full")
    yield from _used(kind, "weights", _SHORT, "CoreML8", indices=codes, lut=C(2, 1, 16, 1))
    lut = C(1, 1, 16, 1)
    new: dict[str, Any] = {"opset": "CoreML8"}
    yield from _refused(
        kind, "entries", "a table for n bits has 2^n entries", (4, 6), indices=codes, lut=C(1, 1, 8, 1), **new
    )
    yield from _refused(kind, "groups", "groups divide the indices", (4, 6), indices=codes, lut=C(3, 1, 16, 1), **new)
    yield from _refused(kind, "no-axis", "vectors need vector_axis", (4, 12), indices=codes, lut=C(1, 1, 16, 2), **new)
    yield from _refused(kind, "ranks", "the table has two axes more", (4, 6), indices=codes, lut=C(16, 1), **new)
    yield from _refused(kind, "type", "indices are unsigned", (4, 6), indices=C(4, 6, type="int4"), lut=lut, **new)
    old: dict[str, Any] = {"lut": C(16), "shape": np.array(shape, np.uint32), "opset": "CoreML6"}
    yield from _refused(kind, "packed-count", "indices suffice for the shape", shape, indices=C(7, type="uint8"), **old)
    yield from _refused(
        kind,
        "packed-entries",
        "there are tables of 2, 4, 16, 64 and 256 entries",
        shape,
        indices=C(8, type="uint8"),
        **{**old, "lut": C(8)},
    )


# ---- Sparse numbers ----

#: Where numbers of [4, 6] are kept: 9 of 24.
_MASK = (np.arange(24).reshape(4, 6) * 7 % 19) < 7
_KEPT = int(_MASK.sum())


def _sparse() -> Iterator[ProgramPlan]:
    kind, shape = "constexpr_sparse_to_dense", (4, 6)
    mask = C(value=_MASK, type="uint1")
    old: dict[str, Any] = {
        "mask": C(value=_packed(_MASK, 1), type="uint8"),
        "shape": np.array(shape, np.uint32),
        "opset": "CoreML6",
    }
    yield from _added(kind, "packed", shape, nonzero_data=C(_KEPT), **old)
    yield from _added(
        kind,
        "packed-odd",
        (3, 5),
        nonzero_data=C(4),
        mask=C(value=np.array([0b01000110, 0b10001000]), type="uint8"),  # one bit beyond the 15 that count
        shape=np.array([3, 5], np.uint32),
        opset="CoreML6",
    )
    yield from _added(kind, "mask", shape, nonzero_data=C(_KEPT), mask=mask, opset="CoreML8")
    yield from _used(kind, "weights", _SHORT, "CoreML8", nonzero_data=C(_KEPT), mask=mask)
    for element in ("int4", "uint4", "int8", "uint8"):

        def scaled(p: Making, element: str = element) -> Any:
            data = p.add(kind, nonzero_data=C(_KEPT, type=element, kind="full"), mask=mask)
            return p.add("add", x=p["x"], y=p.add("constexpr_blockwise_shift_scale", data=data, scale=C(2, 3)))

        yield from program(kind, element, scaled, {"x": X(*shape)}, kinds=_SHORT, opset="CoreML8")
    new = {"mask": mask, "opset": "CoreML8"}
    yield from _refused(
        kind, "count", "there is a number for each 1 of the mask", shape, nonzero_data=C(_KEPT + 1), **new
    )
    yield from _refused(
        kind, "few", "there is a number for each 1 of the mask", shape, nonzero_data=C(_KEPT - 1), **new
    )
    yield from _refused(
        kind, "packed-count", "there is a number for each 1 of the mask", shape, nonzero_data=C(_KEPT - 1), **old
    )
    yield from _refused(
        kind,
        "mask",
        "the mask is of single bits",
        shape,
        nonzero_data=C(_KEPT),
        mask=C(value=_MASK, type="uint8"),
        opset="CoreML8",
    )


def _pairs(kind: str, label: str, kinds: str, shape: tuple[int, ...] = (4, 6), **given: Any) -> Iterator[ProgramPlan]:
    """Yield cases of y = x + what a pair of a mask and kept numbers stands for."""
    kept = _KEPT * int(np.prod(shape)) // _MASK.size

    def make(p: Making) -> Any:
        mask, numbers = p.add(kind, outputs=[("uint1", shape), (p.element, (kept,))], **given)
        return p.add("add", x=p["x"], y=p.add("constexpr_sparse_to_dense", nonzero_data=numbers, mask=mask))

    return program(kind, label, make, {"x": X(*shape)}, kinds=kinds)


def _refused_pair(kind: str, label: str, rule: str, **given: Any) -> Iterator[ProgramPlan]:
    def make(p: Making) -> Any:
        types = [("uint1", (4, 6)), (p.element, (None,))]
        _, numbers = p.add(kind, outputs=types, **given)
        return p.add("add", x=p["x"], y=numbers, outputs=types[1:])

    return program(
        kind, f"invalid-{label}", make, {"x": X(_KEPT)}, kinds="integers", opset="CoreML8", verdict="invalid", rule=rule
    )


def _sparse_tables() -> Iterator[ProgramPlan]:
    kind, mask = "constexpr_lut_to_sparse", C(value=_MASK, type="uint1")
    for bits in _BITS:
        indices = C(_KEPT, type=f"uint{bits}", kind="full")
        kinds = _KINDS if bits == 4 else _SHORT
        yield from _pairs(
            kind, f"table-{bits}", kinds, indices_mask=mask, indices_nonzero_data=indices, lut=C(1, 1, 2**bits, 1)
        )
    kept: dict[str, Any] = {"indices_mask": mask, "indices_nonzero_data": C(_KEPT, type="uint2", kind="full")}
    yield from _pairs(kind, "groups", _SHORT, lut=C(2, 3, 4, 1), **kept)
    yield from _pairs(kind, "vectors-0", _SHORT, (8, 6), lut=C(1, 1, 4, 2), vector_axis=0, **kept)
    yield from _pairs(kind, "vectors-1", _SHORT, (4, 12), lut=C(1, 1, 4, 2), vector_axis=1, **kept)
    yield from _refused_pair(kind, "entries", "a table for n bits has 2^n entries", lut=C(1, 1, 8, 1), **kept)
    few = {**kept, "indices_nonzero_data": C(_KEPT - 1, type="uint2", kind="full")}
    yield from _refused_pair(kind, "count", "there is an index for each 1 of the mask", lut=C(1, 1, 4, 1), **few)
    yield from _refused_pair(kind, "no-axis", "vectors need vector_axis", lut=C(1, 1, 4, 2), **kept)


def _sparse_blockwise() -> Iterator[ProgramPlan]:
    kind, mask = "constexpr_sparse_blockwise_shift_scale", C(value=_MASK, type="uint1")
    for element in ("int4", "uint4", "int8", "uint8"):
        data = C(_KEPT, type=element, kind="full")
        offset = C(4, 1, type=element, kind="full")
        yield from _pairs(
            kind, f"{element}-rows", _SHORT, data_mask=mask, nonzero_data=data, scale=C(4, 1), offset=offset
        )
        yield from _pairs(kind, f"{element}-blocks", _SHORT, data_mask=mask, nonzero_data=data, scale=C(2, 3))
    data = C(_KEPT, type="int8", kind="full")
    yield from _pairs(kind, "float-offset", _KINDS, data_mask=mask, nonzero_data=data, scale=C(4, 2), offset=C(4, 2))
    yield from _pairs(kind, "float-data", _SHORT, data_mask=mask, nonzero_data=C(_KEPT), scale=C(2, 2))
    given: dict[str, Any] = {"data_mask": mask, "nonzero_data": data}
    yield from _refused_pair(kind, "blocks", "lengths of scale divide those of the mask", scale=C(3, 1), **given)
    yield from _refused_pair(kind, "offset", "offset has the shape of scale", scale=C(4, 1), offset=C(1, 1), **given)


# ---- Half precision ----


def _cast() -> Iterator[ProgramPlan]:
    kind, shape = "constexpr_cast", (3, 5)
    given = {"source_val": C(*shape, type="fp16"), "output_dtype": "fp32"}
    yield from _added(kind, "plain", shape, "integers zero-mean wide", opset="CoreML6 CoreML8", **given)
    small = {**given, "source_val": C(*shape, type="fp16", change=lambda x: x * 2.0**-20)}
    yield from _added(kind, "small", shape, "integers", **small)
    special = {**given, "source_val": C(*shape, type="fp16", kind="special")}
    yield from _added(kind, "special", shape, "integers", **special)
    yield from _refused(kind, "single", "source_val is of fp16", shape, source_val=C(*shape), output_dtype="fp32")
    yield from _refused(kind, "half", "the result is of fp32", shape, **{**given, "output_dtype": "fp16"})


# ---- Activations ----


def _activations() -> Iterator[ProgramPlan]:
    shape = (4, 5)
    scales = {"one": ((), {}), "rows": ((4,), {"axis": 0}), "columns": ((5,), {"axis": -1})}
    kinds = "integers zero-mean wide halves fp16:integers fp16:zero-mean"
    for element in ("int8", "uint8"):
        for label, (lengths, axis) in scales.items():
            # Powers of two, so that a quotient is exact and halves are ties.
            scale = C(*lengths, value=lambda source, data, lengths=lengths: 2.0 ** source.integers(lengths, -3, 0))
            odd = C(*lengths, change=lambda x: np.abs(x) / 16 + 0.125)
            point = C(*lengths, type=element)
            exact: dict[str, Any] = {"output_dtype": element, **axis}
            many = kinds if label == "one" else _SHORT
            yield from op(
                "quantize", f"{element}-{label}", kinds=many, input=X(*shape), scale=scale, zero_point=point, **exact
            )
            yield from op("quantize", f"{element}-{label}-no-point", kinds=_SHORT, input=X(*shape), scale=odd, **exact)
            codes = X(*shape, type=element, kind="full")
            yield from op(
                "dequantize",
                f"{element}-{label}",
                kinds=_KINDS,
                input=codes,
                scale=C(*lengths),
                zero_point=point,
                **axis,
            )
            yield from op(
                "dequantize", f"{element}-{label}-no-point", kinds=_SHORT, input=codes, scale=C(*lengths), **axis
            )
    x = X(*shape)
    bytes_ = [("int8", shape)]
    yield from refused(
        "quantize",
        "scales",
        "there is one scale, or one for each place",
        input=x,
        scale=C(3),
        output_dtype="int8",
        axis=0,
        results=bytes_,
    )
    yield from refused(
        "quantize",
        "dtype",
        "the result is of 8 bits",
        input=x,
        scale=C(),
        output_dtype="int16",
        results=[("int16", shape)],
    )
    codes = X(*shape, type="int8")
    yield from refused("dequantize", "floats", "input is of 8 bits", input=x, scale=C())
    yield from refused(
        "dequantize", "point", "zero_point is of input's type", input=codes, scale=C(), zero_point=C(type="uint8")
    )
    yield from refused("dequantize", "computed", "scale is a constant", input=codes, scale=X(1))
