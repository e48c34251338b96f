"""The table of operations against the names and versions that there are.

The facts are here, so that they are checked everywhere; where coremltools is, they are compared with its registry.
"""

from __future__ import annotations

from typing import Any

import pytest

from refcoreml.mil import operations as _operations  # noqa: F401 (importing them fills the table)
from refcoreml.mil.registry import OPERATIONS, OPSETS, find, opset_number

#: By the operation sets (as numbers: 5 is CoreML5) in which names are new or changed, the names.
_FACTS = {
    (5,): """
        abs acos add affine argsort asin atan atanh avg_pool band_part batch_to_space ceil classify concat cond const
        conv_quantized cos cosh crop cumsum depth_to_space einsum equal erf exp exp2 fill flatten2d floor floor_div gelu
        greater greater_equal identity l2_pool less less_equal list_gather list_length list_read list_scatter list_write
        logical_and logical_not logical_or logical_xor make_list max_pool maximum minimum mod mul non_zero not_equal
        one_hot pad pixel_shuffle pow random_bernoulli random_categorical random_normal random_uniform range_1d real_div
        reduce_l1_norm reduce_l2_norm reduce_log_sum reduce_log_sum_exp reduce_max reduce_mean reduce_min reduce_prod
        reduce_sum reduce_sum_square relu relu6 resize_bilinear resize_nearest_neighbor round select shape sigmoid sign
        silu sin sinh softmax softplus softsign space_to_batch space_to_depth split sqrt square stack sub tan tanh
        threshold tile upsample_nearest_neighbor while_loop""",
    (5, 6): "upsample_bilinear",
    (5, 6, 7): "crop_resize gather gather_along_axis gather_nd resample topk",
    (5, 7): """
        batch_norm cast clamped_relu clip conv conv_transpose elu expand_dims instance_norm inverse l2_norm layer_norm
        leaky_relu linear linear_activation local_response_norm log lstm matmul non_maximum_suppression prelu
        reduce_argmax reduce_argmin reshape reverse reverse_sequence rnn rsqrt scaled_tanh scatter scatter_along_axis
        scatter_nd sigmoid_hard slice_by_index slice_by_size sliding_windows softplus_parametric squeeze
        thresholded_relu transpose""",
    (5, 7, 8): "gru",
    (6,): "constexpr_affine_dequantize fill_like pixel_unshuffle",
    (6, 7): "reshape_like",
    (6, 8): "constexpr_cast constexpr_lut_to_dense constexpr_sparse_to_dense",
    (7,): "dequantize quantize resize",
    (8,): """
        constexpr_blockwise_shift_scale constexpr_lut_to_sparse constexpr_sparse_blockwise_shift_scale read_state
        scaled_dot_product_attention slice_update""",
}
#: By name the operation sets in which it is new or changed.
VERSIONS = {name: tuple(f"CoreML{n}" for n in numbers) for numbers, names in _FACTS.items() for name in names.split()}
#: What files hold and coremltools has no class for: it writes them for operations of its own.
OTHERS = {"write_state": ("CoreML8",), "custom_layer": ("CoreML5",)}
#: Constants, which are no operations here: `refcoreml.mil.resolve` makes values of them.
CONSTANTS = {"const"}
#: Refused on purpose, by an adapter that says why: experimental, and no writer is known.
REFUSED = {"conv_quantized"}

#: What cannot be run yet, a line per family: who adds an operation takes it off.
MISSING: set[str] = set()
#: Versions that need no adapter of their own: the one before takes all that is new, which is said in its docstring.
SAME: dict[str, str] = {}

PRESENT = sorted({*VERSIONS, *OTHERS} - MISSING - CONSTANTS - REFUSED)


def entries(name: str) -> list[Any]:
    """Return the entry of a name in each operation set, None where there is none."""
    return [find(name, opset_number(opset, "")) for opset in OPSETS]


def test_names() -> None:
    assert len(VERSIONS) == 167
    assert sum(map(len, VERSIONS.values())) == 226  # versions of them
    assert not set(OPERATIONS) - set(PRESENT) - REFUSED, "known here only, or no longer missing"


def test_what_is_missing() -> None:
    known = {*VERSIONS, *OTHERS}
    assert known >= MISSING
    assert not {name for name in MISSING | CONSTANTS if any(entries(name))}, "is there: take it off the list"


@pytest.mark.parametrize("name", PRESENT)
def test_operations_exist_from_their_first_version_on(name: str) -> None:
    first = list(OPSETS).index({**VERSIONS, **OTHERS}[name][0])
    assert [entry is not None for entry in entries(name)] == [number >= first for number in range(len(OPSETS))]


@pytest.mark.parametrize("name", PRESENT)
def test_versions(name: str) -> None:
    expected = {**VERSIONS, **OTHERS}[name]
    own = {entry.since for entry in entries(name) if entry is not None}
    assert own <= set(expected)
    assert set(expected) - own == set(SAME.get(name, "").split()), "versions without an adapter of their own"


def test_docstrings_say_what_operations_do() -> None:
    for name in PRESENT:
        for entry in filter(None, entries(name)):
            text = entry.adapt.__doc__ or ""
            assert len(text) > 10, f"{name} since {entry.since}"


# ---- coremltools ----


@pytest.fixture(scope="module")
def registry() -> dict[str, dict[str, Any]]:
    """By name and operation set the class that coremltools has."""
    ops = pytest.importorskip("coremltools.converters.mil.mil.ops.registry", reason="coremltools has the names")
    systems = {system: opset for opset, system in OPSETS.items()}
    return {
        name: {systems[target.name]: found for target, found in versions.items() if target.name in systems}
        for name, versions in ops.SSAOpRegistry.core_ops.items()
        if not name.startswith("_")
    }


def test_facts(registry: dict[str, dict[str, Any]]) -> None:
    found = {}
    for name, versions in registry.items():
        changes = zip([None, *versions.values()], versions.items(), strict=False)
        found[name] = tuple(opset for before, (opset, now) in changes if now is not before)
    assert found == VERSIONS


@pytest.mark.parametrize("name", sorted(set(PRESENT) - set(OTHERS)))
def test_operands_are_inputs(registry: dict[str, dict[str, Any]], name: str) -> None:
    for opset, found in registry[name].items():
        entry = find(name, opset_number(opset, ""))
        assert entry is not None
        operands = {operand.strip("*?") for operand in entry.operands}
        assert operands <= set(found.input_spec.input_types), opset
