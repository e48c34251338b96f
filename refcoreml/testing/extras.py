"""The packages that only some parts of `refcoreml.testing` need, imported when they are first used."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from refcoreml.errors import UsageError


class _Extra:
    """Stands for a package until one of its attributes is used."""

    def __init__(self, name: str) -> None:
        self._name, self._module = name, None

    def load(self) -> ModuleType:
        """Return the package, or an error that says how to get it."""
        if self._module is None:
            try:
                self._module = importlib.import_module(self._name)  # type: ignore[assignment]
            except ImportError as error:
                raise UsageError(
                    f"this needs {self._name}, which cannot be imported: {error}",
                    remedy=f"Install it: pip install {self._name}",
                ) from error
        return self._module  # type: ignore[return-value]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.load(), name)


hypothesis: Any = _Extra("hypothesis")
torch: Any = _Extra("torch")
coremltools: Any = _Extra("coremltools")
onnx: Any = _Extra("onnx")
onnx_reference: Any = _Extra("onnx.reference")
