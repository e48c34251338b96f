"""Right and faulty conversions: ``python -m campaigns.judging.conversions`` measures what each fault changes.

A conversion is made when it is needed, and is the same in every run. A fault is real if some value differs from the
source, in double precision, by several times the honest noise of single precision there: that of torch at the outputs,
or, where little of a fault is left at the outputs, that of the operation at fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from campaigns.judging.cases import Case, Expected, Prepared
from campaigns.judging.converted import Converted, convert_network, converted, quicken
from campaigns.judging.edits import Edit, part_of
from campaigns.judging.faults import FAULTS
from campaigns.judging.graphs import Graph, Operation, changed, names_of
from campaigns.judging.networks import NETWORKS, Network
from refcoreml.model import load
from refcoreml.storage.writing import write_file
from refcoreml.testing.extras import torch
from refcoreml.types import Array

__all__ = ["Effect", "effect", "faulty", "given", "make_faulty", "right"]

#: What networks are converted to, of which conversions are right.
_RIGHT = ("network", "program", "program18", "half")
#: A fault shows if it is so many times the honest noise.
SHOWS = 4.0
_LEAST = sys.float_info.min


def right() -> list[Prepared]:
    """Return right conversions: each network in four forms with two inputs, and once with batch norms not folded."""
    found = [(name, form, number) for name in NETWORKS for form in _RIGHT for number in (0, 1) if _exists(name, form)]
    found += [(name, "unfolded", 2) for name in NETWORKS if _exists(name, "unfolded")]
    return [
        Prepared(f"{name}/{form}/inputs {number}", "right", None, name, form, partial(_make_right, name, form, number))
        for name, form, number in found
    ]


def _exists(name: str, form: str) -> bool:
    return name != "quantized" or form not in ("unfolded", "half")  # 8-bit weights are newer than these


def faulty() -> list[Prepared]:
    """Return faulty conversions: each fault in a network and in a program, and one per network in half precision."""
    found = []
    for name, edits in FAULTS.items():
        cases = [(form, edit) for edit in edits for form in edit.forms]
        # In half precision none that rounding would hide.
        gross = [edit for edit in edits if edit.size is None and edit.kind in _GROSS]
        cases += [("half", edit) for edit in gross[:1] if _exists(name, "half")]
        found += [
            Prepared(
                f"{name}/{form}/{edit.name}", edit.kind, edit.size, name, form, partial(_make_case, name, form, edit)
            )
            for form, edit in cases
        ]
    return found


_GROSS = (
    *(
        "operation missing",
        "gate order",
        "concat order",
        "weights transposed",
        "axis",
        "mask",
        "activation",
        "dilation",
    ),
    *("alignment", "keepdims", "channel order", "branches swapped", "count_include_pad", "bias negated"),
)


def given(network: str, number: int) -> dict[str, Array]:
    """Return the inputs of a network by the names that the model has for them."""
    return {f"x{place}": tensor.numpy() for place, tensor in enumerate(NETWORKS[network].inputs(number))}


def _case(network: Network, model: Converted, number: int) -> Case:
    inputs = given(network.name, number)
    return Case(model.spec(), inputs, network.module(), network.inputs(number))


def _make_right(name: str, form: str, number: int) -> tuple[Case, Expected]:
    return _case(NETWORKS[name], converted(name, form), number), Expected("equal")


def _make_case(name: str, form: str, edit: Edit) -> tuple[Case, Expected]:
    model, expected = make_faulty(name, form, edit)
    return _case(NETWORKS[name], model, zlib.crc32(edit.name.encode()) % 2), expected


def make_faulty(name: str, form: str, edit: Edit) -> tuple[Converted, Expected]:
    """Return a faulty conversion, and what is wrong with it."""
    sound, network = converted(name, form), NETWORKS[name]
    if edit.model is not None:
        graph = sound.graph()
        edit.model(graph, _only(name, sound, edit))
        model = Converted(graph.spec.SerializeToString(deterministic=True), sound.paths)
    else:
        module = network.module()
        if edit.module is not None:
            with torch.no_grad():
                edit.module(module)
        model = convert_network(network, module, form, faithful=edit.module is not None)
    wrong = changed(sound.graph(), model.graph())
    assert wrong, f"{name}/{form}/{edit.name}: the model is the same"
    operations = list(dict.fromkeys(_blamable(model.graph(), wrong, edit)))
    paths = [model.paths[each] for each in operations if each in model.paths]
    sources = (edit.at, *edit.also, *_folded(network.module(), edit.at), *paths)
    return model, Expected("different", tuple(operations), tuple(dict.fromkeys(sources)))


def operations_at(network: str, model: Converted, at: str, kind: str = "") -> list[str]:
    """Return the names of operations from a module; what a norm is folded into has the path of the norm."""
    paths = [at, *_folded(NETWORKS[network].module(), at)]
    return next((names for names in (model.at(path, kind) for path in paths) if names), [])


def _only(network: str, model: Converted, edit: Edit) -> str:
    """Return the operation that an edit of a model changes."""
    names = operations_at(network, model, edit.at)
    if edit.operation:
        kinds = {operation.name: operation.kind for operation in model.graph().operations()}
        names = [name for name in names if kinds[name] in edit.operation]
    assert len(names) == 1, f"{edit.name}: {names or 'no operation'} from there, of {sorted(set(model.paths.values()))}"
    return names[0]


#: Operations that show numbers in another shape: a wrong one is seen where its numbers are used.
_SHAPES = ("reshape", "reshapeStatic", "expand_dims", "expandDims", "squeeze")
_MOVES = (*_SHAPES, "transpose")


def _blamable(graph: Graph, wrong: Sequence[str], edit: Edit) -> Iterator[str]:
    """Yield the names of operations that are wrong, and of those of which as well may be said that they are.

    Beside a missing operation these are the one before it and the one behind it. Where two are in each other's place,
    they are right in themselves, and so may be what takes them.
    """
    operations = graph.operations()
    for operation in operations:
        if operation.name in wrong:
            yield from names_of(operation)
            if edit.kind == "operation missing":
                yield from _makers(operations, operation.inputs[:1])
            if edit.also or edit.kind == "gate order":
                yield from _makers(operations, operation.inputs)
            if operation.kind in (_MOVES if edit.also else _SHAPES) or edit.kind == "keepdims":
                yield from _takers(operations, operation)


def _makers(operations: Sequence[Operation], values: Sequence[str]) -> Iterator[str]:
    """Yield the names of what computes values, wherever they were moved."""
    for other in operations:
        if set(other.outputs) & set(values):
            yield from names_of(other)
            if other.kind in _MOVES:
                yield from _makers(operations, other.inputs)


def _takers(operations: Sequence[Operation], made: Operation) -> Iterator[str]:
    """Yield the names of what uses the numbers of an operation, wherever they were moved."""
    for other in operations:
        if set(made.outputs) & set(other.inputs):
            yield from names_of(other)
            if other.kind in _MOVES:
                yield from _takers(operations, other)


def _folded(module: Any, at: str) -> list[str]:
    """Return the paths of the batch norm that is folded into a part, or of what it is folded into."""
    parent, _, _ = at.rpartition(".")
    children = [f"{parent}.{name}".lstrip(".") for name, _ in part_of(module, parent).named_children()]
    if at not in children:
        return []
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    place = children.index(at)
    if isinstance(part_of(module, at), norms):
        return children[max(0, place - 1) : place]
    following = children[place + 1 : place + 2]
    return [path for path in following if isinstance(part_of(module, path), norms)]


# What faults change


@dataclass(frozen=True)
class Effect:
    """How large a fault is.

    Attributes:
        outputs: the largest difference from the source, in double precision, at the outputs.
        noise: the honest noise of single precision there.
        inside: the largest difference at the operation at fault, in units of the noise there; 0 where it has no
            counterpart in the right model.
    """

    outputs: float
    noise: float
    inside: float

    @property
    def times(self) -> float:
        """The largest ratio of a difference and the noise."""
        return max(self.outputs / self.noise if self.noise else np.inf if self.outputs else 0.0, self.inside)


def effect(prepared: Prepared) -> Effect:
    """Measure a fault."""
    case, expected = prepared.make()
    sound = converted(prepared.network, prepared.form)
    with torch.no_grad():
        exact = case.source.double()(*(x.double() if x.is_floating_point() else x for x in case.arguments)).numpy()
        rounded = NETWORKS[prepared.network].module()(*case.arguments).double().numpy()
    wrong, honest = _values(case.model, case.inputs, "float64"), _values(sound.spec(), case.inputs, "float64")
    single = _values(sound.spec(), case.inputs, "float32")
    noise = max(_most(rounded, exact), _most(single["y0"], honest["y0"]), _most(honest["y0"], exact))
    inside = 0.0
    for name in expected.operations:
        if name in wrong and name in honest and wrong[name].shape == honest[name].shape:
            least = 2.0**-24 * float(np.sqrt(np.mean(_finite(honest[name]) ** 2)))
            rounding = max(_most(single[name], honest[name]), least, _LEAST)
            inside = max(inside, _most(wrong[name], honest[name]) / rounding)
    return Effect(_most(wrong["y0"], exact), noise, inside)


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0)


def _values(model: Any, inputs: Mapping[str, Array], precision: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for step in load(model, precision=precision).trace(inputs):
        found.update({name: np.array(value, np.float64) for name, value in step.outputs.items()})
    return found


def _most(one: Array, other: Array) -> float:
    if one.shape != other.shape:
        return np.inf
    with np.errstate(invalid="ignore"):
        differences = np.where(one == other, 0, np.abs(one - other))
    return float(np.where(np.isnan(differences), np.inf, differences).max(initial=0))


def chosen(cases: Sequence[Prepared], part: str, share: int, first: int = 0) -> list[Prepared]:
    """Return those cases whose names contain a text, every so manieth of them, beginning with the first."""
    return [case for case in cases if part in case.name][first::share]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the faults, and return an exit code: 1 if one shows nowhere."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.judging.conversions", description=__doc__.split(":")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="faults with this in their names")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="every Nth fault")
    parser.add_argument("--json", metavar="FILE", help="write the effects there, too")
    options = parser.parse_args(arguments)
    quicken()
    cases = chosen(faulty(), options.only, options.share)
    found = _measured(cases, lambda case, seen: print(f"{seen.times:10.3g}  {case.name}", flush=True))
    hidden = [name for name, seen in found.items() if seen.times < SHOWS]
    kinds = Counter(case.kind for case in cases)
    print(f"{len(cases)} faults, {len(hidden)} without effect: {', '.join(hidden) or 'none'}")
    print("by kind: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    if options.json:
        text = json.dumps({name: asdict(seen) for name, seen in found.items()}, indent=1)
        write_file(f"{text}\n".encode(), options.json)
    return 1 if hidden else 0


def _measured(cases: Sequence[Prepared], show: Callable[[Prepared, Effect], None]) -> dict[str, Effect]:
    found = {}
    for case in cases:
        found[case.name] = effect(case)
        show(case, found[case.name])
    return found


if __name__ == "__main__":
    sys.exit(main())
