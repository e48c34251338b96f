"""Faults in ML Programs: operations by family, packed numbers, names and control flow."""

from conformance.faults.programs import compression, control, elementwise, images, movement, sums
from conformance.faults.programs.ways import MUTATIONS

__all__ = ["MUTATIONS", "compression", "control", "elementwise", "images", "movement", "sums"]
