"""Studying what quantization does to a model: sweeps, sensitivity of layers, plans of bits, figures, a report."""

from refcoreml.studies.records import Configuration, Record
from refcoreml.studies.run import Study, study
from refcoreml.studies.sheet import contact_sheet

__all__ = ["Configuration", "Record", "Study", "contact_sheet", "study"]
