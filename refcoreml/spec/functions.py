"""The functions of an ML Program: their names, their descriptions, and which one runs if none is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from refcoreml.errors import InvalidModelError, UsageError
from refcoreml.spec import schema

__all__ = ["DescribedFunction", "Description", "find_function", "function_names"]

#: What describes inputs, outputs and states: of a model, or of one of its functions.
Description: TypeAlias = schema.ModelDescription | schema.FunctionDescription

#: What a program's only function is called.
MAIN = "main"


@dataclass(frozen=True)
class DescribedFunction:
    """A function, by its name in the program, and what describes it; of other models the name is empty."""

    name: str
    description: Description


def function_names(spec: schema.Model) -> tuple[str, ...]:
    """Return the names of an ML Program's functions, as the model describes them; none for other types."""
    if spec.WhichOneof("Type") != "mlProgram":
        return ()
    described = tuple(function.name for function in spec.description.functions)
    return described or _undescribed(spec)


def _undescribed(spec: schema.Model) -> tuple[str, ...]:
    """Return the name of the only function that the model's own description can be about."""
    functions = sorted(spec.mlProgram.functions)
    return (MAIN,) if MAIN in functions else tuple(functions[:1]) if len(functions) == 1 else ()


def find_function(spec: schema.Model, name: str = "") -> DescribedFunction:
    """Return a function of a model by its name, or the default one.

    That is the one which ``defaultFunctionName`` names; where the model does not describe functions, its only one.

    Raises:
        UsageError: there is no such function.
        InvalidModelError: there is no default one, or several have one name.
    """
    if spec.WhichOneof("Type") != "mlProgram":
        if name:
            raise UsageError(f"the model has no function {name!r}", remedy="Only ML Programs have functions")
        return DescribedFunction("", spec.description)
    names = function_names(spec)
    for known, count in Counter(names).items():
        if count > 1:
            raise InvalidModelError(f"{count} functions have the name {known!r}", where="description")
    if name and name not in names:
        raise UsageError(f"the model has no function {name!r}", remedy=f"Its functions: {_listed(names)}")
    found = name or _default(spec, names)
    described = {function.name: function for function in spec.description.functions}
    return DescribedFunction(found, described.get(found, spec.description))


def _default(spec: schema.Model, names: tuple[str, ...]) -> str:
    default: str = spec.description.defaultFunctionName
    if default in names:
        return default
    if len(names) == 1 and not default:
        return names[0]
    problem = f"defaultFunctionName is {default!r}, which is no function" if default else "no function is the default"
    functions = names or sorted(spec.mlProgram.functions)
    raise InvalidModelError(problem, where="description", remedy=f"Its functions: {_listed(functions)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
