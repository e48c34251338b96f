"""Which clauses of operations (docs/clauses/programs) each case checks, as `conformance.catalogue.clauses` has it."""

from __future__ import annotations

_TWO = "add sub mul maximum minimum"
_COMPARISONS = "equal not_equal less less_equal greater greater_equal"
_LOGIC = "logical_and logical_or logical_xor"
_FUNCTIONS = "ceil floor round exp erf sin cos tan asin acos atan sinh cosh atanh sqrt"
_REDUCTIONS = "sum mean prod max min l1_norm l2_norm sum_square log_sum log_sum_exp"
_SIZES = "default strict-align-corners align-corners offset-corners unalign-corners"
_BOTH = f"{_SIZES} " + " ".join(f"{mode}-smaller" for mode in _SIZES.split())


def _pool(first: str, **more: str) -> dict[str, str]:
    """Return the claims of cases of pooling; those of sizes and padding are of a clause each, or of one for all."""
    return {
        "C1": "invalid-sizes invalid-window invalid-int",
        "C2": "invalid-no-pad-type",
        "C3": "invalid-ceil-uneven invalid-ceil-same",
        "S1": first,
        **more,
    }


def _recurrent(steps: str, reverse: str, functions: str, **more: str) -> dict[str, str]:
    """Return the claims of cases of recurrent networks, given the clauses of steps, of reverse, and of functions."""
    return {
        "C1": "invalid-weights invalid-bias invalid-input",
        "C2": "invalid-state",
        "C3": "invalid-half",
        "C4": "invalid-activation invalid-direction",
        "S1": "last sequence reverse reverse-last halves",
        steps: "last sequence",
        reverse: "reverse reverse-last",
        functions: "hard-sigmoid relu linear recurrent-activation",
        **more,
    }


def _each(names: str, claims: dict[str, str], form: str = "{}") -> dict[str, dict[str, str]]:
    return {form.format(name): dict(claims) for name in names.split()}


#: By operation and clause: patterns of the configuration, the part of a case's id between its operation and its data.
CHECKED: dict[str, dict[str, str]] = {
    # activation
    **_each("relu relu6 sigmoid tanh silu softsign softplus", {"C1": "invalid-int", "S1": "*"}),
    **_each(
        "leaky_relu clamped_relu thresholded_relu elu sigmoid_hard scaled_tanh linear_activation",
        {"C1": "invalid-types invalid-no-alpha", "S1": "*"},
    ),
    "gelu": {
        "C1": "invalid-int",
        "C2": "invalid-mode",
        "S1": "default exact",
        "S2": "tanh-approximation",
        "S3": "sigmoid-approximation",
    },
    **_each("prelu softplus_parametric", {"C1": "invalid-types", "C2": "invalid-channels invalid-rank", "S1": "*"}),
    # elementwise
    **_each(_TWO, {"C1": "invalid-types invalid-bool", "C2": "invalid-shapes", "S1": "*"}),
    "pow": {
        "C1": "invalid-types",
        "C2": "invalid-shapes",
        "S1": "plain square fraction",
        "S2": "zero-one edges",
        "S3": "int wraps",
        "S4": "base-2",
    },
    "real_div": {
        "C1": "invalid-types",
        "C2": "invalid-shapes",
        "S1": "plain broadcast constant by-zero*",
        "S2": "int",
    },
    **_each(
        "floor_div mod",
        {"C1": "invalid-types", "C2": "invalid-shapes", "S1": "plain broadcast constant int*", "S2": "by-zeros"},
    ),
    **_each(_COMPARISONS, {"C1": "invalid-types invalid-bool", "C2": "invalid-shapes", "S1": "*"}),
    **_each(_LOGIC, {"C1": "invalid-numbers", "C2": "invalid-shapes", "S1": "*"}),
    "logical_not": {"C1": "invalid-numbers", "S1": "*"},
    "select": {"C1": "invalid-cond invalid-types", "C2": "invalid-shapes", "S1": "*", "S2": "no-trace"},
    **_each("abs sign square", {"C1": "invalid-bool", "S1": "*"}),
    "exp2": {"C1": "invalid-bool", "S1": "plain", "S2": "int*"},
    **_each(_FUNCTIONS, {"C1": "invalid-int", "S1": "*"}),
    "threshold": {"C1": "invalid-types", "S1": "*"},
    "clip": {"C1": "invalid-int", "C2": "invalid-order", "S1": "*"},
    **_each("inverse log rsqrt", {"C1": "invalid-types", "S1": "plain *epsilon", "S2": "signs"}),
    "cast": {
        "C1": "invalid-*",
        "S1": "to-int32/*halves to-int32/wide fractions",
        "S2": "to-bool truth",
        "S3": "to-fp16/special to-fp16/zero-mean halves",
        "S4": "to-fp32/int* to-fp32/uint* large",
    },
    "identity": {"S1": "*"},
    # reduction
    **_each(
        _REDUCTIONS,
        {
            "C1": "invalid-bool",
            "C2": "invalid-axis",
            "S1": "axis keep negative* all all-keep",
            "S2": "axis keep negative* all all-keep",
        },
        "reduce_{}",
    ),
    **_each(
        "reduce_argmax reduce_argmin",
        {
            "C1": "invalid-axis",
            "C2": "invalid-dtype invalid-old",
            "S1": "*",
            "S2": "last axis keep",
            "S3": "last newer uint16",
        },
    ),
    "cumsum": {"C1": "invalid-axis", "S1": "plain axis", "S2": "exclusive both endless", "S3": "reverse both"},
    "conv": {
        "C1": "invalid-channels invalid-rank invalid-bias invalid-groups",
        "C2": "invalid-pad invalid-kernel",
        "C3": "invalid-pad-type invalid-same-lower",
        "C4": "invalid-types",
        "C5": "invalid-dilations-computed invalid-bias-computed",
        "S1": "valid custom strides-dilations groups depthwise pointwise line volume deep *-computed halves singles",
        "S2": "valid custom strides-dilations line volume",
        "S3": "custom line valid-pad",
        "S4": "same same-strides same-dilations",
        "S5": "same-lower",
        "S6": "groups depthwise",
        "S7": "valid pointwise",
    },
    "conv_transpose": {
        "C1": "invalid-channels invalid-bias",
        "C2": "invalid-crop invalid-pad",
        "C3": "invalid-same-lower",
        "C4": "invalid-types",
        "C5": "invalid-computed",
        "C6": "invalid-output-shape",
        "S1": "valid custom dilations groups line volume computed halves",
        "S2": "valid custom dilations line volume",
        "S3": "custom line",
        "S4": "same same-odd",
        "S5": "output-shape",
        "S6": "valid",
    },
    "linear": {
        "C1": "invalid-input invalid-bias invalid-rank",
        "C2": "invalid-types",
        "S1": "*",
        "S2": "plain",
        "S3": "singles",
    },
    "matmul": {
        "C1": "invalid-lengths invalid-batches",
        "C2": "invalid-types invalid-bool",
        "S1": "plain batches broadcast constant*",
        "S2": "transpose-*",
        "S4": "wraps",
        "S5": "halves integers-constant",
    },
    "einsum": {
        "C1": "invalid-types invalid-integers",
        "C2": "invalid-ranks invalid-lengths",
        "S1": "*",
        "S2": "rank-4 rank-3 letters",
        "S3": "broadcast",
    },
    "scaled_dot_product_attention": {
        "C1": "invalid-batches invalid-lengths invalid-rank",
        "C2": "invalid-types invalid-mask-int",
        "C3": "invalid-mask-shape",
        "S1": "plain heads",
        "S2": "mask mask-infinite",
        "S3": "mask-bool mask-computed-bool",
    },
    "softmax": {
        "C1": "invalid-axis invalid-int",
        "S1": "last axis default-axis negative-axis vector",
        "S2": "large",
        "S3": "infinite",
    },
    "batch_norm": {
        "C1": "invalid-channels invalid-lengths invalid-rank",
        "C2": "invalid-types",
        "S1": "*",
        "S2": "plain gamma beta",
    },
    "instance_norm": {
        "C1": "invalid-rank invalid-gamma",
        "C2": "invalid-types",
        "S1": "*",
        "S2": "plain gamma beta",
        "S3": "half-epsilon-single",
    },
    "layer_norm": {
        "C1": "invalid-axes invalid-twice",
        "C2": "invalid-gamma",
        "C3": "invalid-types",
        "S1": "*",
        "S2": "order-of-axes",
        "S3": "all-axes gamma beta",
    },
    "l2_norm": {"C1": "invalid-rank", "S1": "*", "S2": "small"},
    "local_response_norm": {
        "C1": "invalid-size invalid-rank",
        "C2": "invalid-types",
        "S1": "defaults strong even beyond",
        "S2": "even beyond",
        "S3": "defaults",
    },
    "pad": {
        "C1": "invalid-int",
        "C2": "invalid-odd invalid-many",
        "C3": "invalid-reflect invalid-mode",
        "S1": "constant all-axes computed",
        "S2": "constant reflect replicate",
        "S3": "default",
    },
    "crop": {"C1": "invalid-rank", "C2": "invalid-all invalid-negative", "S1": "both none one-pixel"},
    "max_pool": _pool(
        "valid strides custom line volume",
        S2="valid valid-pad strides custom line",
        S3="same same-lower",
        S4="ceil ceil-pad",
        S5="valid",
        S6="nan",
    ),
    "avg_pool": _pool(
        "valid strides custom line volume",
        S2="exclude-*",
        S3="custom valid-pad same same-lower ceil ceil-pad",
        S4="ceil exclude-ceil",
        S5="valid",
    ),
    "l2_pool": _pool("valid strides custom line", S2="valid valid-pad custom same same-lower ceil ceil-pad"),
    "lstm": _recurrent(
        "S5",
        "S6",
        "S3",
        C5="invalid-no-back",
        S2="last sequence clip",
        S4="peephole no-bias",
        S7="both-*",
        S8="both-last both-sequence",
    ),
    "gru": _recurrent("S5", "S6", "S2", C5="invalid-old-*", S3="input-bias no-bias"),
    "rnn": {**_recurrent("S2", "S3", "S1"), "S1": "last sequence reverse halves no-bias hard-sigmoid relu linear"},
    "upsample_nearest_neighbor": {
        "C1": "invalid-rank",
        "C2": "invalid-zero invalid-nothing",
        "S1": "integers fractions rank-3",
        "S2": "integers fractions",
        "S3": "default",
    },
    "upsample_bilinear": {
        "C1": "invalid-rank",
        "C2": "invalid-both invalid-old-centers",
        "S1": "*",
        "S2": "default aligned-true fractions-true",
        "S3": "aligned-false fractions-false",
        "S4": "centers neither centers-unset",
    },
    "resize_bilinear": {
        "C1": "invalid-rank invalid-target",
        "C2": "invalid-mode",
        "S1": "*",
        "S2": "default default-smaller mode-unset",
        "S3": "strict-align-corners*",
        "S4": "align-corners*",
        "S5": "offset-corners*",
        "S6": "unalign-corners*",
    },
    "resize": {
        "C1": "invalid-axes invalid-bool",
        "C2": "invalid-few invalid-negative",
        "C3": "invalid-mode",
        "S1": "one-axis three-axes inherited longer-shape",
        "S2": _BOTH,
        "S3": "nearest",
    },
    "resize_nearest_neighbor": {"C1": "invalid-zero", "S1": "*"},
    "crop_resize": {
        "C1": "invalid-shape",
        "C2": "invalid-normalized-integers",
        "C3": "invalid-image invalid-many",
        "C4": "invalid-target invalid-mode",
        "S1": _SIZES,
        "S2": _SIZES,
        "S3": "corners-width-first center-size-*-first",
        "S4": "normalized scale",
        "S5": "all-images numbered",
        "S6": "newer newer-default",
        "S7": "padded",
    },
    "affine": {
        "C1": "invalid-matrix",
        "C2": "invalid-mode",
        "S1": "each-aligned one-aligned constant-matrix",
        "S2": "each-aligned one-aligned",
        "S3": "outside outside-value",
    },
    "resample": {
        "C1": "invalid-batch invalid-pair invalid-old-*",
        "C2": "invalid-mode invalid-no-value",
        "S1": "*",
        "S2": "*-unnormalized",
        "S3": "*-zero-to-one *-minus-one-to-one",
        "S4": "constant-unnormalized nearest",
        "S5": "constant-* border-* reflection-* symmetric-*",
    },
    "random_uniform": {"C1": "invalid-shape", "C2": "invalid-order", "S1": "no-width* default* moments* negative*"},
    "random_normal": {"C1": "invalid-shape", "C2": "invalid-deviation", "S1": "no-deviation* default* moments* wide*"},
    "random_bernoulli": {"C1": "invalid-shape", "C2": "invalid-probability", "S1": "never* always* default* seldom*"},
    "random_categorical": {
        "C1": "invalid-size invalid-mode",
        "C2": "invalid-negative",
        "S1": "certain certain-probabilities",
        "S2": "certain* logits probabilities",
    },
    "constexpr_affine_dequantize": {
        "C1": "invalid-codes",
        "C2": "invalid-scales invalid-axis",
        "S1": "int8-* uint8-* weights as-inputs",
        "S2": "int8-one as-inputs",
    },
    "constexpr_blockwise_shift_scale": {
        "C1": "invalid-offset-type",
        "C2": "invalid-blocks invalid-rank invalid-offset",
        "S1": "*",
        "S2": "*-blocks each rank-1 odd",
        "S3": "/constexpr_lut_to_dense/int8-table /constexpr_lut_to_dense/uint8-table",
    },
    "constexpr_lut_to_dense": {
        "C1": "invalid-packed-count invalid-packed-entries",
        "C2": "invalid-entries invalid-groups invalid-ranks invalid-type",
        "C3": "invalid-no-axis",
        "S1": "packed-*",
        "S2": "packed-*",
        "S3": "table-* groups rows",
        "S4": "vectors-* groups-of-vectors",
        "S5": "table-1 table-2 table-3 table-4 table-6",
    },
    "constexpr_lut_to_sparse": {
        "C1": "invalid-count",
        "C2": "invalid-entries invalid-no-axis",
        "S1": "table-*",
        "S2": "vectors-*",
        "S3": "groups",
    },
    "constexpr_sparse_to_dense": {
        "C1": "invalid-count invalid-few invalid-packed-count",
        "C2": "invalid-mask",
        "S1": "packed mask int4 uint4 int8 uint8",
        "S2": "packed packed-odd",
        "S3": "mask int4 uint4 int8 uint8",
    },
    "constexpr_sparse_blockwise_shift_scale": {
        "C2": "invalid-blocks invalid-offset",
        "S1": "*",
        "S2": "*-rows *-blocks",
    },
    "constexpr_cast": {"C1": "invalid-single invalid-half", "S1": "*", "S2": "plain plain-CoreML8"},
    "quantize": {
        "C1": "invalid-dtype",
        "C2": "invalid-scales",
        "S1": "*",
        "S2": "*-one *-rows *-columns",
        "S3": "*-infinite",
    },
    "dequantize": {
        "C1": "invalid-floats invalid-point invalid-computed",
        "C2": "invalid-no-axis",
        "S1": "*",
        "S2": "*-no-point",
    },
    "classify": {"C1": "invalid-count", "S1": "*", "S2": "*", "S3": "matrix"},
    "custom_layer": {"S1": "*", "S2": "weights parameters"},
}
CHECKED["reduce_log_sum_exp"]["S3"] = "endless"
