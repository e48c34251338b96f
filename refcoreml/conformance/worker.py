"""Hosts a session written in Python, in a process of its own, for `refcoreml.conformance.runner`.

    python -m refcoreml.conformance.worker SESSION

SESSION is a file or a module with ``prepare(model: str) -> session``, called with a model's path; ``session(inputs)``
takes arrays by name and returns outputs by name, and is called again for a case that asks for several runs. Either
raises `NotImplementedError` for what it cannot run and `ValueError` for what it refuses; any other exception is a
crash. A file may import others of its folder.

Standard input holds a case's folder and an output folder a line, separated by a tab; the answer is a line of JSON. What
the session prints goes to standard error, so that it cannot garble the answers.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from refcoreml.conformance.cases import Case, CaseError, read_case

#: What ``prepare`` returns.
Session: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
Prepare: TypeAlias = Callable[[str], Session]


def load_prepare(name: str) -> Prepare:
    """The function ``prepare`` of a file (a name that ends in .py) or of a module."""
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location("conformance_session", name)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot import {name}")
        sys.path.append(str(Path(name).resolve().parent))
        module = importlib.util.module_from_spec(spec)
        sys.modules["conformance_session"] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(name)
    prepare: Prepare = module.prepare
    return prepare


def run_folders(out: Path, count: int) -> list[Path]:
    """Where the outputs of each run of a case go: the folder ``out``, and for further runs ``run2``, ... in it."""
    return [out, *(out / f"run{number}" for number in range(2, count + 1))]


def _answer(prepare: Prepare, folder: Path, out: Path) -> dict[str, str]:
    try:
        outcome, message = _run(prepare, read_case(folder), out)
    except CaseError as error:
        outcome, message = "damaged", str(error)
    return {"outcome": outcome, "message": message}


def _run(prepare: Prepare, case: Case, out: Path) -> tuple[str, str]:
    """What became of a case, and why; outputs are written as they come."""
    try:
        session = prepare(str(case.check_model()))
        for folder in run_folders(out, case.repeat):
            folder.mkdir(exist_ok=True)
            _save(dict(session(case.read_inputs())), folder)
    except CaseError:
        raise
    except NotImplementedError as error:
        return "unsupported", str(error)
    except ValueError as error:
        return "rejected", str(error)
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"
    return "returned", ""


def _save(outputs: dict[str, Any], folder: Path) -> None:
    for name, value in outputs.items():
        if Path(name).name != name:  # leads out of the folder; the verifier will miss it
            continue
        try:
            np.save(folder / f"{name}.npy", np.asarray(value), allow_pickle=False)
        except (ValueError, OSError):  # not an array: the verifier will miss it
            traceback.print_exc()


def main() -> int:
    """Answers until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    prepare = load_prepare(sys.argv[1])
    for line in sys.stdin:
        folder, _, out = line.rstrip("\n").partition("\t")
        print(json.dumps(_answer(prepare, Path(folder), Path(out))), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
