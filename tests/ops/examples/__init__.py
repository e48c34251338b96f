"""Operations with inputs, a file per family: `EXAMPLES` of all of them."""

from __future__ import annotations

import importlib
import pkgutil

from ops.examples.example import Example

__all__ = ["EXAMPLES", "Example"]

EXAMPLES: list[Example] = [
    example
    for module in pkgutil.iter_modules(__path__)
    if module.name != "example"
    for example in importlib.import_module(f"{__name__}.{module.name}").EXAMPLES
]
