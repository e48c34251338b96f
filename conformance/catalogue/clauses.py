"""Which clauses of the specification (docs/clauses) each case checks.

A case checks a semantic clause (S) if an implementation that broke it would fail the case; a case of the verdict
``invalid`` checks the constraint (C) that it breaks. Unspecified points (U) are not claimed; a case rests on one only
where Apple's own tests decide it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from conformance.catalogue.plan import Plan
from conformance.catalogue.programs import clauses as programs

_ND = "Sum Mean Prod Max Min L1 L2 SumSquare LogSum LogSumExp"
_ARITHMETIC = "add subtract multiply divide floorDiv mod pow max min"
_COMPARISONS = "equal notEqual lessThan lessEqual greaterThan greaterEqual"
_FUNCTIONS = "ceil floor round sign exp2 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf"


def _each(kinds: str, claims: dict[str, str], form: str = "{}") -> dict[str, dict[str, str]]:
    return {form.format(kind): dict(claims) for kind in kinds.split()}


#: By layer and clause: patterns of the configuration, the part of a case's id between its layer and its data; one with
#: a slash has the data too, and one that begins with a slash is of the whole id. S clauses go with valid cases, C
#: clauses with invalid ones.
CHECKED: dict[str, dict[str, str]] = {
    "activation": {
        "C1": "invalid-none",
        "C2": "invalid-PReLU-channels",
        "S1": "linear linear-* ReLU leakyReLU leakyReLU-* thresholdedReLU",
        "S2": "tanh scaledTanh sigmoid sigmoidHard",
        "S3": "ELU ELU-other softsign softplus",
        "S4": "PReLU-* parametricSoftplus-*",
        "S5": "*-per-channel *-rank-4 *-rank-5",
    },
    **_each(_ARITHMETIC, {"S1": "*"}, "{}Broadcastable"),
    **_each("loadConstant loadConstantND fillLike fillDynamic fillStatic rangeStatic getShape", {"S1": "*"}),
    **_each("broadcastToLike broadcastToStatic broadcastToDynamic bias average max min", {"S1": "*"}),
    "rangeDynamic": {"S1": "*", "S2": "start all"},
    "copy": {"S1": "*"},
    "branch": {"S1": "true false negative tiny small", "S2": "no-else-*"},
    "loop": {"S1": "count count-as-input-*", "S2": "condition-*"},
    "loopBreak": {"C1": "/files/break-outside", "S1": "*"},
    "loopContinue": {"S1": "*"},
    "convolution": {
        "C1": "invalid-groups",
        "C2": "invalid-no-padding invalid-asymmetry",
        "C3": "invalid-few-weights invalid-few-bytes",
        "C4": "invalid-channels invalid-kernel-too-large",
        "S1": "valid* same-* stride dilation groups* depthwise pointwise deep many leading-axes defaults "
        "weights-as-input float16 linear* lut*",
        "S2": "valid* stride dilation pointwise defaults",
        "S3": "same-* depthwise",
        "S4": "groups* depthwise deconvolution-groups*",
        "S5": "deconvolution deconvolution-crop deconvolution-groups* deconvolution-float16 deconvolution-l*",
        "S6": "*linear6c *linear7c",
        "S7": "defaults",
        "S8": "weights-as-input",
    },
    "NonMaximumSuppression": {
        "C1": "invalid-boxes",
        "S1": "all few few-above thresholds-as-inputs",
        "S2": "*",
        "S3": "thresholds-as-inputs",
        "S4": "per-class",
        "S5": "none-above none-above-in-one",
    },
    "unary": {
        "S1": "abs* exp* sqrt sqrt-affine rsqrt rsqrt-affine rsqrt-epsilon inverse inverse-affine inverse-epsilon "
        "log log-affine log-epsilon power-* threshold*",
        "S2": "abs exp sqrt *-default-epsilon",
        "S3": "*-outside",
    },
    **_each("add multiply", {"S1": "two three channels scalar", "S2": "alpha alpha-unset"}),
    "scale": {"C1": "invalid-shape", "S1": "*", "S2": "all channels one pixels bias"},
    **_each(_FUNCTIONS, {"S1": "plain"}),
    "clip": {"C1": "invalid-order", "S1": "both", "S2": "unset"},
    "gelu": {"S1": "exact", "S2": "tanh-approximation", "S3": "sigmoid-approximation"},
    "clampedReLU": {"S1": "slopes negative-slope"},
    "gather": {"C1": "invalid-axis", "S1": "*", "S2": "negative"},
    "gatherND": {"S1": "full partial"},
    "gatherAlongAxis": {"S1": "*", "S2": "axis1"},
    "scatter": {"C2": "invalid-updates", "S1": "*", "S2": "*-axis1", "S3": "*"},
    "scatterND": {"S1": "*", "S3": "*"},
    "scatterAlongAxis": {"S1": "*", "S3": "add div max min mul sub update"},
    "embeddingND": {"C1": "invalid-shape", "S1": "*", "S2": "*-bias", "S3": "linear6c"},
    "sliceStatic": {
        "C1": "invalid-entries",
        "C2": "invalid-stride",
        "S1": "plain negative",
        "S2": "*-masks",
        "S3": "squeeze",
    },
    "sliceDynamic": {"S1": "two-inputs end-as-input all-inputs masks", "S2": "all-inputs"},
    "sliceBySize": {"S1": "*"},
    "slidingWindows": {"C1": "invalid-axis", "S1": "*", "S2": "step-2 vector"},
    "reverse": {"C1": "invalid-flags", "S1": "*"},
    "reverseSeq": {"S1": "*"},
    "concatND": {"C1": "invalid-shapes", "S1": "axis1 last", "S2": "interleave"},
    "stack": {"C1": "invalid-shapes", "S1": "*"},
    "splitND": {"C1": "invalid-sizes", "S1": "sizes", "S2": "equal"},
    "tile": {"S1": "all", "S2": "fewer", "S3": "dynamic"},
    "innerProduct": {
        "C1": "invalid-weights invalid-bias",
        "C2": "invalid-input",
        "S1": "vector bias rank-* chw deep float16 linear-* lookup-*",
        "S2": "bias bias-unused rank-*",
        "S3": "linear-*-per-channel",
        "S4": "int8",
    },
    "embedding": {"S1": "*", "S2": "linear6c"},
    "dot": {"C1": "invalid-shapes", "S1": "product*", "S2": "cosine*"},
    **_each(_COMPARISONS, {"S1": "equal broadcast", "S2": "alpha alpha-unset"}),
    **_each("logicalAnd logicalOr logicalXor logicalNot lowerTriangular upperTriangular", {"S1": "*"}),
    "whereNonZero": {"S1": "*", "S2": "*"},
    "whereBroadcastable": {"C1": "invalid-shapes", "S1": "*", "S2": "broadcast"},
    "matrixBandPart": {"S1": "*", "S2": "-1-1 2--1"},
    "oneHot": {"C2": "invalid-depth", "S1": "axis*", "S2": "depth-as-input", "S3": "*", "S4": "outside"},
    "batchedMatmul": {
        "C1": "invalid-sizes",
        "C2": "invalid-bias",
        "S1": "matrices batches many",
        "S2": "transpose-*",
        "S3": "vector-*",
        "S4": "weights float16 linear* lut*",
        "S5": "linear6c",
    },
    "softmax": {"S1": "*"},
    "batchnorm": {
        "C1": "invalid-*",
        "S1": "stored rank-5",
        "S2": "computed instance",
        "S3": "tiny-variance instance-default-epsilon",
    },
    "mvn": {"S1": "*", "S2": "*", "S3": "default-epsilon"},
    "l2normalize": {"S1": "epsilon rank-5", "S2": "default-epsilon"},
    "lrn": {"C1": "invalid-size", "S1": "*", "S2": "default-k", "S3": "odd even"},
    "softmaxND": {"C1": "invalid-axis", "S1": "axis*", "S2": "overflow"},
    "layerNormalization": {"C1": "invalid-shape", "S1": "last last-two"},
    "padding": {
        "C1": "invalid-none",
        "C2": "invalid-reflection",
        "S1": "constant",
        "S2": "reflection rank-5",
        "S3": "replication",
        "S4": "*",
    },
    "crop": {"C1": "invalid-too-much", "S1": "amounts", "S2": "reference"},
    "constantPad": {"C1": "invalid-amounts", "S1": "amounts", "S2": "to-size", "S3": "dynamic", "S5": "to-size"},
    "pooling": {
        "C1": "invalid-no-padding",
        "C3": "invalid-window",
        "S1": "*",
        "S2": "*-padding *-same *-same-top-left *-include-last",
        "S3": "*-valid *-padding",
        "S4": "*-same *-same-top-left",
        "S5": "*-include-last *-include-last-*",
        "S6": "*-global",
        "S7": "max-defaults",
    },
    **_each("Normal Uniform Bernoulli", {"S1": "*", "S2": "*"}, "random{}Like"),
    **_each("Normal Uniform Bernoulli", {"S1": "*", "S2": "*"}, "random{}Static"),
    **_each("Normal Uniform Bernoulli", {"S1": "*", "S2": "*"}, "random{}Dynamic"),
    "categoricalDistribution": {
        "S1": "*",
        "S2": "skewed certain-logits temperature temperature-of-probabilities",
        "S3": "skewed",
        "S4": "certain",
    },
    "custom": {
        "S1": "scale* parameters-*",
        "S2": "scale scale-* writes",
        "S3": "values-decide-shape total",
        "S4": "in-*",
        "S5": "total",
    },
    "simpleRecurrent": {
        "C1": "invalid-weights",
        "C2": "invalid-activation",
        "S1": "*",
        "S2": "last tanh",
        "S3": "reverse",
    },
    "gru": {"S1": "*", "S2": "sequence no-state bias-reverse", "S3": "sequence last", "S4": "bias-reverse"},
    "uniDirectionalLSTM": {
        "S1": "*",
        "S2": "sequence clip",
        "S3": "bias bias-unused forget-bias peepholes",
        "S4": "coupled",
        "S5": "sequence last no-states",
        "S6": "reverse",
    },
    "biDirectionalLSTM": {
        "S1": "*",
        "S2": "sequence",
        "S3": "last",
        "S4": "sequence last no-states",
    },
    "reduce": {
        "C1": "invalid-argmax-two-axes",
        "S1": "*-c *-h *-w *-hw *-chw logsum-epsilon",
        "S2": "*-c *-h *-w *-hw *-chw rank-5",
        "S4": "logsum-default-epsilon",
    },
    **_each(_ND, {"S1": "one-axis keep all rank-5", "S2": "one-axis keep all", "S3": "all"}, "reduce{}"),
    "cumSum": {
        "C1": "invalid-axis",
        "S1": "plain last",
        "S2": "exclusive reverse exclusive-reverse",
        "S3": "axis-as-input",
    },
    "reshapeStatic": {"C1": "invalid-two-rests", "C2": "invalid-count", "S1": "*", "S2": "rest"},
    "reshapeLike": {"S1": "*", "S2": "*"},
    "reshapeDynamic": {"S1": "*"},
    "rankPreservingReshape": {"S1": "*", "S2": "zero"},
    "flattenTo2D": {"S1": "*", "S2": "axis0 axis3 axis-*"},
    "expandDims": {"C2": "invalid-rank", "S1": "*"},
    "squeeze": {"C2": "invalid-length", "S1": "one last", "S2": "all"},
    "transpose": {"C1": "invalid-axes", "S1": "*"},
    "upsample": {
        "S1": "nearest",
        "S2": "bilinear",
        "S3": "align-corners-true*",
        "S4": "align-corners-false*",
        "S5": "nearest-unset",
    },
    "resizeBilinear": {"S1": "strict-align-* align-*", "S2": "upsample-mode-*", "S3": "roi-align-mode-*"},
    "cropResize": {
        "S1": "numbered align-endpoints-mode",
        "S2": "align-endpoints-mode strict-align-endpoints-mode",
        "S3": "center-* corners-*",
        "S4": "normalized spatial-scale",
        "S5": "*-mode *-mode-one",
    },
    "reorganizeData": {
        "C2": "invalid-multiple",
        "S1": "space-to-depth*",
        "S2": "depth-to-space",
        "S3": "pixel-shuffle",
    },
    "reshape": {"C1": "invalid-count", "S1": "channel-first*", "S2": "channel-last*"},
    "flatten": {"S1": "channel-first*", "S2": "channel-last*"},
    "permute": {"C1": "invalid-twice", "S1": "*"},
    "concat": {"C1": "invalid-shapes", "S1": "channels", "S2": "sequence"},
    "split": {"C1": "invalid-*", "S1": "*"},
    "sequenceRepeat": {"S1": "*"},
    "slice": {"C1": "invalid-stride", "S1": "*", "S2": "*-axis"},
    "topK": {"C1": "invalid-*", "S1": "largest*", "S2": "smallest*", "S3": "k-as-input"},
    **_each("argMax argMin", {"S1": "keep remove vector", "S2": "keep remove vector"}),
    "argSort": {"S1": "ascending*", "S2": "descending*"},
    "convolution3d": {
        "S1": "valid custom same stride groups-dilation",
        "S2": "valid custom stride",
        "S3": "same",
        "S4": "groups-dilation deconvolution-groups-same",
        "S5": "deconvolution*",
    },
    "pooling3d": {
        "C3": "invalid-rank",
        "S1": "*",
        "S2": "*-valid *-custom",
        "S3": "*-same",
        "S4": "average-*",
    },
    "globalPooling3d": {"S1": "*"},
}

#: Further claims, so that many layers can share one line above.
_MORE = [
    ("acosh asin acos atanh", "S2", "outside"),
    ("atanh", "S3", "outside"),
    ("argMax", "C1", "invalid-axis"),
    ("activation", "S6", "*-unset"),
    ("activation", "S7", "linear/nan tanh/nan scaledTanh/nan sigmoid/nan softsign/nan softplus/nan"),
    ("clampedReLU", "S2", "unset"),
    ("constantPad", "S4", "value-unset"),
    ("copy", "S2", "another-shape"),
    ("loop", "S3", "growing"),
    ("exp2 sinh cosh", "S2", "overflow"),
    ("divideBroadcastable", "S2", "by-zero"),
    ("gatherND scatterND", "S2", "one"),
    ("scatterAlongAxis", "S2", "negative"),
    ("layerNormalization", "S2", "no-epsilon-small"),
    ("softmax", "S2", "overflow"),
    ("reduce", "S3", "defaults"),
    ("reduceLogSum", "S4", "zero-and-below"),
    ("reduceLogSumExp", "S4", "infinite"),
    ("resizeBilinear", "S4", "size-unset"),
    ("simpleRecurrent", "S4", "*-unset"),
    ("simpleRecurrent", "S5", "linear4-per-channel"),
    ("gru", "S5", "unset"),
    ("gru", "S6", "linear4-per-channel"),
    ("uniDirectionalLSTM", "S7", "unset"),
    ("uniDirectionalLSTM", "S8", "linear4-per-channel"),
    ("sliceDynamic", "S3", "long-lists"),
    ("squeeze", "S3", "nothing-left"),
    ("reduceSum", "C1", "invalid-axis"),
    ("add addBroadcastable", "C1", "invalid-shapes"),
    ("fillStatic", "C1", "invalid-zero"),
    ("rangeStatic", "C1", "invalid-empty"),
    ("broadcastToStatic", "C2", "invalid-shape"),
    ("randomUniformStatic", "C1", "invalid-order"),
    ("randomBernoulliStatic", "C1", "invalid-probability"),
]
for _kinds, _clause, _patterns in _MORE:
    for _kind in _kinds.split():
        CHECKED[_kind][_clause] = _patterns


def claims() -> Iterator[tuple[str, str, str]]:
    """Yield every (label, pattern of ids, verdict) of the table, and of that of ML Programs."""
    yield from _claims(CHECKED)
    for label, pattern, verdict in _claims(programs.CHECKED):
        yield f"mil.{label}", f"mil/{pattern}", verdict


def _claims(checked: dict[str, dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    for kind, clauses in checked.items():
        for clause, patterns in clauses.items():
            for pattern in patterns.split():
                whole = pattern[1:] if pattern.startswith("/") else f"{kind}/{pattern}"
                yield f"{kind}.{clause}", whole, "invalid" if clause.startswith("C") else "returns"


def fits(plan: Plan, pattern: str, verdict: str) -> bool:
    """Return whether a claim is about a case."""
    with_data = plan.family == "files" or pattern.removeprefix("mil/").count("/") == 2
    name = plan.id if with_data else plan.id.rpartition("/")[0]
    return plan.verdict == verdict and fnmatchcase(name, pattern)


def checked_by(plan: Plan) -> list[str]:
    """Return the labels of the clauses that a case checks."""
    found = {label for label, pattern, verdict in _claims_of(plan) if fits(plan, pattern, verdict)}
    return sorted(found)


def _claims_of(plan: Plan) -> list[tuple[str, str, str]]:
    return _BY_KIND.get(kind_of(plan.id), [])


def kind_of(name: str) -> str:
    """Return the layer, or operation, of an id or of a pattern of ids."""
    return name.removeprefix("mil/").split("/")[0] + " mil" * name.startswith("mil/")


_BY_KIND: dict[str, list[tuple[str, str, str]]] = {}
for _claim in claims():
    _BY_KIND.setdefault(kind_of(_claim[1]), []).append(_claim)
