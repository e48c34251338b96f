"""Sources of models as a command line names them: torch modules, made by a function or from files."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refcoreml import values as passed
from refcoreml.errors import CallbackError, UsageError
from refcoreml.testing.extras import torch
from refcoreml.testing.onnx_models import OnnxModel

__all__ = ["read_source"]

#: Files of torch: TorchScript, and programs that `torch.export.save` writes.
_SCRIPTS, _EXPORTS = (".pt", ".ts", ".torchscript", ".jit"), (".pt2",)


def read_source(text: str) -> Any:
    """Return what a model was converted from.

    Args:
        text: one of

            * ``MODULE:NAME``, or ``FILE.py:NAME``: a torch module, or a function without arguments that returns one;
            * a file of TorchScript (``.pt``, ``.ts``, ``.torchscript``, ``.jit``), or of `torch.export` (``.pt2``);
            * an ONNX file (``.onnx``).

    Raises:
        UsageError: there is no such file, module or name, or it cannot be read.
        CallbackError: code of it fails.
    """
    place, separator, name = text.rpartition(":")
    if separator and name.isidentifier():
        return _made(place, name)
    suffix = Path(text).suffix.lower()
    if suffix not in (*_SCRIPTS, *_EXPORTS, ".onnx"):
        known = ", ".join((*_SCRIPTS, *_EXPORTS, ".onnx"))
        raise UsageError(
            f"{passed.quoted(text)} is no source", where="source", remedy=f"Give a file ({known}) or MODULE:FUNCTION"
        )
    if not os.path.isfile(text):
        raise UsageError("there is no such file", where=text)
    if suffix == ".onnx":
        return OnnxModel.read(text)
    try:
        return torch.export.load(text).module() if suffix in _EXPORTS else torch.jit.load(text, map_location="cpu")
    except UsageError:
        raise
    except Exception as error:  # torch raises all sorts of things for damaged files
        raise UsageError(f"cannot be read as a torch module: {passed.reason(error)}", where=text) from error


def _made(place: str, name: str) -> Any:
    """Return a module, or what a function returns; code may import what is in the folder of its file."""
    where = f"source {place}:{name}"
    file = Path(place) if place.endswith(".py") else None
    with _importing_from(os.getcwd() if file is None else str(file.parent.resolve())):
        try:
            module = _module(place) if file is None else _file(file)
        except UsageError:
            raise
        except Exception as error:
            raise CallbackError(f"raised {passed.reason(error)}", where=where) from error
        if not hasattr(module, name):
            public = [each for each in vars(module) if not each.startswith("_")]
            raise UsageError(f"has no {name!r}", where=where, remedy=passed.did_you_mean(name, public))
        found = getattr(module, name)
        if isinstance(found, torch.nn.Module):
            return found
        if not callable(found):
            raise UsageError("is neither a torch module nor a function that makes one", where=where)
        try:
            made = found()
        except Exception as error:
            raise CallbackError(f"raised {passed.reason(error)}", where=where) from error
    if not isinstance(made, torch.nn.Module):
        raise UsageError(f"returned {passed.shown(made)}, expected a torch module", where=where)
    return made


@contextmanager
def _importing_from(folder: str) -> Iterator[None]:
    """Let imports find modules in a folder."""
    before = list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before


def _file(path: Path) -> Any:
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path))
    spec = importlib.util.spec_from_file_location("_refcoreml_source", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"there is no module {name!r}", where="source") from error
        raise
