"""Hosts a session written in Python, in a process of its own, for `refcoreml.conformance.runner`.

    python -m refcoreml.conformance.worker SESSION

SESSION is a file or a module with ``prepare(model: str) -> session``, called with a model's path; ``session(inputs)``
takes arrays by name and returns outputs by name. It is called once for each step of a case; all steps share one state,
which the session makes. Where a case requires several runs, the last outputs count. For a case that names a function,
``prepare(model, function=NAME)`` is called; without such a parameter the case is not supported. Either raises
`NotImplementedError` for what it cannot run and `refcoreml.conformance.Rejected` for what it refuses; any other
exception, `ValueError` included, is a crash. A file may import others of its folder.

Standard input holds a line of JSON a case, ``[folder, output folder]``; the answer is a line of JSON. What the session
prints goes to standard error, so that it cannot garble the answers.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
from pathlib import Path

from refcoreml.conformance.cases import Case, CaseError, read_case
from refcoreml.conformance.exchange import step_folders, write_outputs
from refcoreml.conformance.session import Prepare, Rejected, Session


def load_prepare(name: str) -> Prepare:
    """Return the function ``prepare`` of a file (a name that ends in .py) or of a module."""
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


def run_case(prepare: Prepare, case: Case, out: Path) -> tuple[str, str]:
    """Run a case and write its outputs; return the outcome, and why."""
    path, given = str(case.check_model()), [[step.read_inputs() for _ in range(case.repeat)] for step in case.steps]
    try:
        session, wrong = _prepared(prepare, path, case.function), []
        for step, place, runs in zip(case.steps, step_folders(case, out), given, strict=True):
            for inputs in runs:
                outputs = dict(session(inputs))
            wrong.append(write_outputs(step, outputs, place))
        return "returned", "; ".join(filter(None, wrong))
    except NotImplementedError as error:
        return "unsupported", str(error)
    except Rejected as error:
        return "rejected", str(error)
    except ValueError as error:
        hint = "; to reject a model or inputs, raise refcoreml.conformance.Rejected"
        return "crash", f"{type(error).__name__}: {error}{hint}"
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"


def _prepared(prepare: Prepare, path: str, function: str) -> Session:
    if not function:
        return prepare(path)
    if "function" not in inspect.signature(prepare).parameters:
        raise NotImplementedError("the session's prepare has no parameter 'function'")
    return prepare(path, function=function)


def _answer(prepare: Prepare, folder: Path, out: Path) -> dict[str, str]:
    try:
        outcome, message = run_case(prepare, read_case(folder), out)
    except CaseError as error:
        outcome, message = "damaged", str(error)
    return {"outcome": outcome, "message": message}


def main() -> int:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    prepare = load_prepare(sys.argv[1])
    for line in sys.stdin:
        folder, out = json.loads(line)
        print(json.dumps(_answer(prepare, Path(folder), Path(out))), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
