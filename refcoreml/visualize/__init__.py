"""Pictures of a model's output over its input picture."""

from refcoreml.visualize.preview import KINDS, Preview, Segment, draw, palette, segmentation_style

__all__ = ["KINDS", "Preview", "Segment", "draw", "palette", "segmentation_style"]
