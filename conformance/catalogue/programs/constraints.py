"""Constraints, and what changed from one operation set to the next, that the other files have no cases of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, op, program, refused

_SHORT = "integers fp16:zero-mean"
_IMAGES = X(2, 3, 4, 5)


def plans() -> Iterator[ProgramPlan]:
    yield from _products()
    yield from _normalizations()
    yield from _recurrent()
    yield from _resized()
    yield from _boxes()
    yield from _places()
    yield from _random()
    yield from _quantized()


def _products() -> Iterator[ProgramPlan]:
    x, weight = X(2, 6, 5, 4), C(6, 4, 3, 2)
    computed = {"x": X(2, 3, 7, 9), "weight": C(4, 3, 2, 5), "bias": X(4), "opset": "CoreML6"}
    yield from refused("conv", "bias-computed", "before CoreML7 the bias is a constant", clause="C5", **computed)
    dilated = {**computed, "opset": "CoreML7", "dilations": [2, 1]}
    yield from op("conv", "bias-computed-dilations", kinds=_SHORT, **dilated)
    kind = "conv_transpose"
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        ("bias", "bias has C_out numbers", "C1", {"bias": C(3)}),
        ("crop", "something is left", "C2", {"pad_type": "custom", "pad": [4, 3, 0, 0]}),
        ("pad", "pad is not negative", "C2", {"pad_type": "custom", "pad": [0, 0, 0, -1]}),
        ("types", "before CoreML7 all are of one type", "C4", {"weight": C(6, 4, 3, 2, type="fp16")}),
    ]
    for label, rule, clause, changed in cases:
        yield from refused(kind, label, rule, clause=clause, **{"x": x, "weight": weight, **changed})
    single = {"weight": C(6, 5, type="fp32"), "bias": C(6, type="fp32"), "opset": "CoreML7"}
    yield from op("linear", "singles", kinds="fp16:integers fp16:zero-mean", x=X(3, 5), **single)
    equation = {"equation": "chw,whr->chr"}
    mixed = [X(3, 4, 5), X(5, 4, 2, type="fp16")]
    yield from refused("einsum", "types", "values are of one type", values=mixed, clause="C1", **equation)
    integers = [X(3, 4, 5), X(5, 4, 2)]
    yield from refused(
        "einsum", "integers", "values are floats", kinds="int32:integers", values=integers, clause="C1", **equation
    )
    attention: dict[str, Any] = {"query": X(2, 4, 6), "key": X(2, 5, 6), "value": X(2, 5, 7)}
    for label, shape in {"mask-shape": (3, 5), "mask-axes": (3, 2, 4, 5)}.items():
        yield from refused(
            "scaled_dot_product_attention", label, "the mask broadcasts", attn_mask=X(*shape), clause="C3", **attention
        )


def _normalizations() -> Iterator[ProgramPlan]:
    with_infinity = np.array([[0.5, -np.inf, 1, 2], [-np.inf, -np.inf, 3, -1]])
    yield from op("softmax", "infinite", kinds=_SHORT, x=X(value=with_infinity))
    yield from op("layer_norm", "order-of-axes", kinds=_SHORT, x=X(2, 3, 5), axes=[2, 1], gamma=C(3, 5), beta=C(3, 5))
    tiny = X(1, 2, 6, change=lambda x: np.asarray(x) * 2.0**-12)
    epsilon = {"epsilon": C(value=1e-8, type="fp32"), "opset": "CoreML7"}
    yield from op("instance_norm", "half-epsilon-single", kinds="fp16:integers", x=tiny, **epsilon)
    half = C(3, type="fp16")
    x = X(2, 3, 5)
    wrong: dict[str, dict[str, Any]] = {
        "batch_norm": {"mean": half, "variance": C(value=np.ones(3), type="fp16")},
        "instance_norm": {"gamma": half},
        "local_response_norm": {"size": 2, "alpha": C(value=0.5, type="fp16")},
    }
    rule = "before CoreML7 all are of one type"
    for kind, given in wrong.items():
        yield from refused(kind, "types", rule, x=x, opset="CoreML6", clause="C2", **given)
    last = {"axes": [-1], "gamma": C(5, type="fp16")}
    yield from refused("layer_norm", "types", rule, x=x, opset="CoreML6", clause="C3", **last)
    window = {"kernel_sizes": [3], "pad_type": "valid"}
    yield from op("max_pool", "nan", kinds="nan", x=X(2, 3, 13), **window)


def _recurrent() -> Iterator[ProgramPlan]:
    for kind, gates in (("lstm", 4), ("gru", 3), ("rnn", 1)):
        states = {"initial_h": X(2, 6), **({"initial_c": X(2, 5)} if kind == "lstm" else {})}
        given = {"weight_ih": C(5 * gates, 4), "weight_hh": C(5 * gates, 5)}
        results = [("fp32", (None,) * 3)] + [("fp32", (None,) * 2)] * len(states)
        rule = "a state has as many numbers as weight_hh columns"
        yield from refused(kind, "state", rule, x=X(3, 2, 4), clause="C2", results=results, **states, **given)
    both = {"initial_h": X(2, 10), "initial_c": X(2, 10), "weight_ih": C(20, 4), "weight_hh": C(20, 5)}
    results = [("fp32", (None,) * 3)] + [("fp32", (None,) * 2)] * 2
    more: dict[str, Any] = {"direction": "bidirectional", "clause": "C5", "results": results}
    yield from refused("lstm", "no-back", "both directions have weights", x=X(3, 2, 4), **both, **more)
    gru = {"initial_h": X(2, 5), "weight_ih": C(15, 4), "weight_hh": C(15, 5), "opset": "CoreML7"}
    old: dict[str, Any] = {"clause": "C5", "results": results[:2]}
    for label, given in {"old-reset-after": {"reset_after": True}, "old-input-bias": {"input_bias": C(15)}}.items():
        yield from refused("gru", label, "this exists since CoreML8", x=X(3, 2, 4), **gru, **old, **given)


def _resized() -> Iterator[ProgramPlan]:
    kind, two = "upsample_nearest_neighbor", np.uint32(2)
    factors = {"zero": 0.0, "nothing": 0.1}
    for label, factor in factors.items():
        yield from refused(kind, label, "a row is left", x=_IMAGES, scale_factor_height=factor, clause="C2")
    kind, centers = "upsample_bilinear", {"align_corners": False, "half_pixel_centers": True}
    yield from refused(kind, "rank", "x has rank 3 or more", x=X(4, 5), scale_factor_height=2, clause="C1")
    rule = "half_pixel_centers exists since CoreML6"
    yield from refused(kind, "old-centers", rule, x=_IMAGES, opset="CoreML5", clause="C2", **centers)
    kind, size = "resize_bilinear", {"target_size_height": 2, "target_size_width": 0}
    yield from refused(kind, "rank", "x has rank 3 or more", x=X(4, 5), target_size_width=2, clause="C1")
    yield from refused(kind, "target", "the target is 1 x 1 or more", x=_IMAGES, clause="C1", **size)
    for element in ("int32", "int16", "uint16"):
        shape, results = X(value=np.array([3, 7]), type=element), [("fp32", (2, 3, None, None))]
        given: dict[str, Any] = {"shape": shape, "resized_dims": two, "results": results}
        yield from op("resize", f"computed-{element}", kinds="integers", x=_IMAGES, **given)
    yield from op("resize", "unsigned", kinds="integers", x=_IMAGES, shape=np.uint32([3, 7]), resized_dims=two)
    nearest = {"shape": [7, 3], "resized_dims": two, "interpolation_mode": "NEAREST_NEIGHBOR"}
    yield from op("resize", "nearest-integers", kinds="int32:integers", x=_IMAGES, **nearest)
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        ("axes", "x has the axes that are resized", "C1", {"shape": [2] * 5, "resized_dims": np.uint32(5)}),
        ("negative", "no length is negative", "C2", {"shape": [2, -3]}),
        ("mode", "the mode is one that there is", "C3", {"shape": [2, 3], "interpolation_mode": "CUBIC"}),
    ]
    for label, rule, clause, changed in cases:
        yield from refused("resize", label, rule, clause=clause, **{"x": _IMAGES, "resized_dims": two, **changed})
    booleans = {"kinds": "bool:bits", "shape": [2, 3], "resized_dims": two}
    yield from refused("resize", "bool", "x holds numbers", x=_IMAGES, clause="C1", **booleans)


def _boxes() -> Iterator[ProgramPlan]:
    kind, corners = "crop_resize", np.array([[0, 1, 2, 3], [1, 0, 3, 4]])
    size = {"target_height": 3, "target_width": 4, "sampling_mode": "ALIGN_CORNERS"}
    boxes, images = X(value=corners, type="uint16"), X(value=np.array([1, 0]), type="uint16")
    yield from op(
        kind, "newer-unsigned", kinds=_SHORT, x=_IMAGES, boxes=boxes, box_indices=images, opset="CoreML7", **size
    )
    beyond = X(value=np.array([[-1, 0.5, 2, 6], [0, -2, 5, 3]]))
    padded = {"boxes": beyond, "pad_value": C(value=9.0), "opset": "CoreML7"}
    yield from op(kind, "newer-padded", kinds=_SHORT, x=_IMAGES, **padded, **size)
    one = {"x": _IMAGES, "boxes": X(value=corners[:1]), "opset": "CoreML7"}
    cases: list[tuple[str, str, str, dict[str, Any]]] = [
        ("normalized-integers", "normalized boxes are floats", "C2", {"boxes": boxes, "normalized_coordinates": True}),
        ("image", "there is such an image", "C3", {"box_indices": C(value=np.array([2]), type="int32")}),
        ("many", "without box_indices there are B boxes at most", "C3", {"boxes": X(5, 4)}),
        ("target", "the target is 1 x 1 or more", "C4", {"target_width": 0}),
        ("mode", "the mode is one that there is", "C4", {"box_coordinate_mode": "X"}),
    ]
    for label, rule, clause, changed in cases:
        yield from refused(kind, label, rule, clause=clause, **{**one, **changed})


def _places() -> Iterator[ProgramPlan]:
    fixed: dict[str, Any] = {
        "sampling_mode": "nearest",
        "padding_mode": "constant",
        "padding_value": C(value=0.0),
        "coordinates_mode": "unnormalized",
        "align_corners": True,
    }
    places = np.array([[[[0, 0], [4, 3], [2, 1]]], [[[1, 3], [3, 0], [5, 2]]]])
    for element in ("int8", "uint8", "int16", "uint16"):
        given = {"coordinates": X(value=places, type=element), **fixed}
        yield from op("resample", f"small-{element}", kinds="integers", x=_IMAGES, opset="CoreML7", **given)
    old = {"old-half": ("fp16", "CoreML5", "CoreML6"), "old-small": ("int16", "CoreML6", "CoreML7")}
    for label, (element, opset, since) in old.items():
        given = {"coordinates": C(value=places, type=element), "opset": opset, **fixed}
        yield from refused("resample", label, f"{element} exists since {since}", x=_IMAGES, clause="C1", **given)
    given = {"coordinates": C(value=places), **fixed, "padding_value": None}
    yield from refused("resample", "no-value", "padding_value is given", x=_IMAGES, clause="C2", **given)
    matrix = C(value=np.array([[2, 0, 0.5, 0, 2, -0.5]]))
    place = {**fixed, "sampling_mode": "bilinear", "coordinates_mode": "normalized_minus_one_to_one"}
    size = {"output_height": 6, "output_width": 7}
    yield from op("affine", "outside", kinds=_SHORT, x=_IMAGES, transform_matrix=matrix, **place, **size)


def _random() -> Iterator[ProgramPlan]:
    for kind in ("random_uniform", "random_normal", "random_bernoulli"):
        shape = C(value=np.array([4, 0]), type="int32")
        yield from refused(
            kind, "shape", "lengths are 1 or more", shape=shape, clause="C1", results=[("fp32", (4, None))]
        )
    x = X(value=np.array([[1, -1]]))
    yield from refused("random_categorical", "negative", "no probability is negative", x=x, mode="probs", clause="C2")


def _quantized() -> Iterator[ProgramPlan]:
    ends = X(value=np.array([np.inf, -np.inf, 1e4, -1e4, 0.5, 1.5, 2.5]))
    for element in ("int8", "uint8"):
        point = C(value=np.array(3), type=element)
        given: dict[str, Any] = {"scale": C(value=1.0), "zero_point": point, "output_dtype": element}
        yield from op("quantize", f"{element}-infinite", kinds="integers", input=ends, **given)
    data = {
        "quantized_data": C(3, 4, type="uint8", kind="full"),
        "scale": C(3),
        "zero_point": C(3, type="uint8"),
        "axis": 0,
    }

    def added(p: Making) -> Any:
        return p.add("add", x=p["x"], y=p.add("constexpr_affine_dequantize", **data))

    given = {"kinds": _SHORT, "opset": "CoreML8"}  # where parameters are inputs of the operation
    yield from program("constexpr_affine_dequantize", "as-inputs", added, {"x": X(3, 4)}, **given)
    codes = X(3, 4, type="int8")
    yield from refused("dequantize", "no-axis", "several scales have an axis", input=codes, scale=C(4), clause="C2")
