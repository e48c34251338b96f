"""A detector with non-maximum suppression behind it, as a pipeline of two ML Programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.converted import conversion

import refcoreml
from refcoreml.types import Array

ct: Any = pytest.importorskip("coremltools", reason="coremltools converts them")

from coremltools.converters.mil import Builder as mb  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose

MOST, OVERLAP = 11, 0.3
#: The least score by target; what iOS17 brought has none, other axes, and does not count.
LEAST = {"iOS16": 0.4, "iOS18": -np.inf}


def suppression(target: str) -> Any:
    """Return a program that keeps boxes."""
    specs = [mb.TensorSpec((1, 60, 4)), mb.TensorSpec((1, 60, 9))]
    newer = target == "iOS18"

    def turned(x: Any) -> Any:
        return mb.transpose(x=x, perm=[0, 2, 1]) if newer else x

    @mb.program(input_specs=specs, opset_version=getattr(ct.target, target))
    def keep(boxes: Any, scores: Any) -> Any:
        least = {} if newer else {"score_threshold": LEAST[target]}
        kept, their_scores, *rest = mb.non_maximum_suppression(
            boxes=turned(boxes), scores=turned(scores), max_boxes=MOST, iou_threshold=OVERLAP, **least
        )
        results = zip(
            ("kept", "kept_scores", "indices", "count"), (turned(kept), turned(their_scores), *rest), strict=False
        )
        return tuple(mb.identity(x=x, name=name) for name, x in results)

    return ct.convert(
        keep,
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )


def overlap(first: Array, second: Array) -> float:
    """Return the intersection over the union of two boxes with centres and sizes."""
    low = np.maximum(first[:2] - first[2:] / 2, second[:2] - second[2:] / 2)
    high = np.minimum(first[:2] + first[2:] / 2, second[:2] + second[2:] / 2)
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(first[2:]) + np.prod(second[2:]) - common))


def kept_places(boxes: Array, scores: Array, least: float) -> list[int]:
    """Return which boxes stay: from the best score on, those that overlap with none before."""
    best, found = scores.max(-1), []
    for place in np.argsort(-best, kind="stable"):
        fits = all(overlap(boxes[place], boxes[other]) <= OVERLAP for other in found)
        if best[place] > least and fits and len(found) < MOST:
            found.append(int(place))
    return found


@pytest.mark.parametrize(("precision", "target"), [("FLOAT32", "iOS16"), ("FLOAT16", "iOS18")])
def test_boxes_that_overlap_are_dropped(precision: str, target: str, tmp_path: Any) -> None:
    detector = conversion.converted("detector", precision, target)
    stages = ct.utils.make_pipeline(detector, suppression(target))
    stages.save(str(tmp_path / "detector.mlpackage"))
    inputs = dict(conversion.NETWORKS["detector"].inputs)
    seen = refcoreml.load(detector).predict(inputs)
    found = refcoreml.load(tmp_path / "detector.mlpackage").predict(inputs)
    boxes, scores = seen["boxes"][0].astype(np.float64), seen["scores"][0]
    places = kept_places(boxes, scores, LEAST[target])
    assert 2 < len(places) <= MOST
    assert found.get("count", len(places)) == len(places)
    np.testing.assert_array_equal(found["indices"][0, : len(places)], places)
    np.testing.assert_array_equal(found["kept"][0, : len(places)], seen["boxes"][0][places])
    np.testing.assert_array_equal(found["kept_scores"][0, : len(places)], scores[places])
    assert (found["indices"][0, len(places) :] == -1).all()
