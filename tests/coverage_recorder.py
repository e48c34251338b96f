"""A pytest plugin that records which layers the tests run, and with what: the facts behind docs/coverage.md.

    PYTHONPATH=tests python -m pytest -p coverage_recorder --record-coverage=docs/coverage.json

A layer counts as reached when it has run without an error in a test that passed. So that the record is the same on
every machine, tests that need an optional package or the collection of real models are skipped.
docs/coverage.py makes a page of the record.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from refcoreml.errors import RefCoreMLError
from refcoreml.execution.engine import _Plan, _Run
from refcoreml.execution.steps import Control, Step
from refcoreml.neuralnetwork.registry import LAYERS, LayerType, Node
from refcoreml.ops import Op
from refcoreml.spec.weights import weight_encoding

#: Tests of random networks, which reach other layers with every change: what they reach is not counted.
RANDOM = ("tests/testing/", "tests/campaigns/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-coverage", type=Path, metavar="FILE", help="record what the tests reach of each layer")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--record-coverage")
    if path is not None:
        os.environ["REFCOREML_MODELS"] = os.devnull
        pytest.importorskip = lambda name, **_: pytest.skip(f"may not use {name}", allow_module_level=True)
        recorder = Recorder(path)
        recorder.watch(pytest.MonkeyPatch())
        config.pluginmanager.register(recorder)


class Recorder:
    """Collects facts (layer, field, value seen there); those about the rank of the first blob have an empty field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tests: Counter[str] = Counter()
        self.facts: set[tuple[str, str, str]] = set()
        self.running: set[tuple[str, str, str]] = set()
        self.fields: dict[int, tuple[Node, list[tuple[str, str, str]]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed and not report.nodeid.startswith(RANDOM):
            self.tests.update({kind for kind, _, _ in self.running})
            self.facts |= self.running
        if report.when == "teardown":
            self.running.clear()
            self.fields.clear()

    def pytest_sessionfinish(self) -> None:
        """Writes one line per layer: {"tests": count, "ranks": [...], "fields": {name: [values]}}."""
        lines = []
        for kind, tests in sorted(self.tests.items()):
            seen: dict[str, list[str]] = {"": []}
            for _, field, value in sorted(fact for fact in self.facts if fact[0] == kind):
                seen.setdefault(field, []).append(value)
            record = {"tests": tests, "ranks": list(filter(None, seen.pop(""))), "fields": seen}
            lines.append(f"{json.dumps(kind)}: {json.dumps(record)}")
        self.path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Note every layer that runs in a network, alone or fused, and every branch and loop that ends."""
        run = Step.run

        def running(step: Step, arguments: Sequence[Any]) -> tuple[Any, ...]:
            results = run(step, arguments)
            blob = next(iter((*arguments, *results)), None)
            for part in step.parts or (step,):
                node = node_of(part)
                if node is not None:
                    self.note(node, blob)
                blob = next(iter(results), None)
            return results

        def execute(run: _Run, plan: _Plan) -> None:
            for _ in run.walk(plan.steps):  # so that every step goes through its method
                pass

        patch.setattr(Step, "run", running)
        patch.setattr(_Run, "execute", execute)
        for kind, entry in list(LAYERS.items()):
            patch.setitem(LAYERS, kind, self.watched(entry))

    def note(self, node: Node, blob: Any) -> None:
        """A layer has run on a first blob, or a branch or loop has ended."""
        fields = self.fields.setdefault(id(node), (node, [(node.kind, *pair) for pair in values_of(node.params)]))
        rank = "" if blob is None else "static" if node.rank5 else str(max(blob.ndim, 1))
        self.running.update(fields[1], [(node.kind, "", rank)])

    def watched(self, entry: LayerType) -> LayerType:
        """The entry, whose operations know their nodes; the end of a branch or a loop is noted."""

        @wraps(entry.prepare)
        def prepare(node: Node) -> Op:
            op = entry.prepare(node)
            object.__setattr__(op, "recorded", node)
            if isinstance(op, Control):
                object.__setattr__(op, "flow", partial(self.flow, op.flow, node))
            return op

        return replace(entry, prepare=prepare)

    def flow(self, flow: Callable[..., Any], node: Node, *given: Any) -> Iterator[Any]:
        """Run control flow, and note that it ended, also by the signals of loopBreak and loopContinue."""
        try:
            return (yield from flow(*given))
        finally:
            if not isinstance(sys.exc_info()[1], RefCoreMLError):
                self.note(node, None)


def node_of(step: Step) -> Node | None:
    """Return what a step was prepared from; None if it is not of a network."""
    within = getattr(step.op, "op", None)  # what is around an operation, see `Vectors`
    return getattr(step.op, "recorded", None) or getattr(within, "recorded", None)


def values_of(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """What a message exercises: (field, value) with names of enums, true, false, encodings of weights, else ``set``."""
    for field in message.DESCRIPTOR.fields:
        path, value = f"{prefix}{field.name}", getattr(message, field.name)
        single = isinstance(value, (bool, int, float, str, bytes, Message))
        for item in [value] if single else value:
            if isinstance(item, Message):
                if single and not message.HasField(field.name):
                    continue
                weights: Any = item if item.DESCRIPTOR.name == "WeightParams" else None
                yield path, weight_encoding(weights).kind if weights is not None else "set"
                if weights is None and item.DESCRIPTOR.name != "NeuralNetwork":
                    yield from values_of(item, f"{path}.")
            elif isinstance(item, bool):
                yield path, str(item).lower()
            elif field.enum_type is not None:
                yield path, field.enum_type.values_by_number[item].name
            elif item or not single:
                yield path, "set"
