"""Studying what quantization does to a model: sweeps, sensitivity of layers, plans of bits, figures, a report."""

from refcoreml.study.records import Configuration, Record
from refcoreml.study.sheet import contact_sheet
from refcoreml.study.study import Study, study

__all__ = ["Configuration", "Record", "Study", "contact_sheet", "study"]
