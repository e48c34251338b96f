"""Pictures of what a model says, over the picture that it was asked about."""

from refcoreml.visualize.preview import KINDS, Preview, Segment, draw, palette, segmentation_style

__all__ = ["KINDS", "Preview", "Segment", "draw", "palette", "segmentation_style"]
