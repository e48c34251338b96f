"""Writes the conformance cases: the catalogue, with references and bounds from the oracle.

    python -m conformance.generate                            the committed set, to conformance/cases
    python -m conformance.generate --only "convolution/*"     some of it
    python -m conformance.generate --check                    compares with what is there, within float64 rounding
    python -m conformance.generate --sets 20 --out /tmp/large twenty sets of numbers for each case

Inputs and weights are the same on every machine; references may differ in the last bits of double precision, so that
regenerated files are compared by numbers, never by bytes.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from conformance import catalogue, programs
from conformance.catalogue import data
from conformance.catalogue.plan import Plan
from conformance.catalogue.programs.plan import ProgramPlan
from conformance.stored import Array, Arrays, narrow, rounded_up
from refcoreml.conformance.cases import Case, Expected, Step, Stored, find_cases, read_case
from refcoreml.errors import InputError, UnsupportedModelError
from refcoreml.oracle import PROFILES, OpenDecisionError, oracle
from refcoreml.oracle.deviation import LEAST_OUTPUTS
from refcoreml.spec import schema

CASES = Path(__file__).resolve().parent / "cases"
#: Layers whose products fast algorithms with fractional constants compute, such as Winograd's.
PRODUCTS = {"convolution", "convolution3d", "innerProduct", "batchedMatmul"}
#: The files of a case, and the folder that may be in place of the model.
FILES = ("case.json", "model.mlmodel", "arrays.npy")
PACKAGE = "model.mlpackage"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=CASES, metavar="FOLDER", help="where cases go (conformance/cases)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="cases whose id fits")
    parser.add_argument("--sets", type=int, default=1, metavar="N", help="sets of numbers for each case (1)")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with what is there")
    options = parser.parse_args(arguments)
    if not options.check and options.only == "*" and options.out.exists():
        foreign = _foreign(options.out)
        if foreign is not None:
            parser.error(f"--out {options.out} holds what is no case, and all in it would be removed: {foreign}")
        shutil.rmtree(options.out)
    count, different, waiting = 0, 0, 0
    unknown = set(find_cases(options.out)) if options.check and options.only == "*" else set()
    for plan in plans(options.sets):
        if not fnmatch.fnmatch(plan.id, options.only):
            continue
        try:
            if options.check:
                for problem in differences(plan, options.out / plan.id):
                    different += 1
                    print(f"{plan.id}: {problem}")
            else:
                write(plan, options.out / plan.id)
        except UnsupportedModelError as error:
            waiting += 1
            print(f"{plan.id}: left out: {error}")
            continue
        count += 1
        unknown.discard(options.out / plan.id)
    for folder in sorted(unknown):
        different += 1
        print(f"{folder.relative_to(options.out).as_posix()}: is not in the catalogue")
    print(f"{count} cases {'compared' if options.check else f'in {options.out}'}")
    return 1 if different or waiting or not count else 0


def _foreign(folder: Path) -> Path | None:
    """The first thing in a folder that is no file of a case; the folder itself if it is none."""
    if not folder.is_dir() or folder.is_symlink():
        return folder
    items = folder.rglob("*")

    def foreign(item: Path) -> bool:
        return item.is_symlink() or not (item.is_dir() or item.name in FILES or PACKAGE in item.parts)

    return next(filter(foreign, items), None)


def plans(sets: int = 1) -> Iterator[Plan]:
    """Yield the catalogue, with further sets of numbers under names that end in -2, -3, ..."""
    for number in range(1, sets + 1):
        with data.salted("" if number == 1 else f"#{number}"):
            for plan in catalogue.plans():
                plan.id += "" if number == 1 else f"-{number}"
                yield plan


def deviation_of(plan: Plan) -> dict[str, Array]:
    """Standard deviations of rounding errors in fp16/acc16, of outputs that are enough sums of zero-mean data."""
    if plan.verdict != "returns" or plan.data != "zero-mean" or plan.expected or plan.twin or plan.family == "networks":
        return {}
    model = schema.Model.FromString(plan.model)
    if len(model.neuralNetwork.layers) != 1:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = oracle(plan.model, plan.inputs, "fp16/acc16")
    except InputError:
        return {}
    return {
        name: rounded_up(np.asarray(answer.deviation))
        for name, answer in answers.items()
        if answer.deviation is not None and np.count_nonzero(answer.deviation) >= LEAST_OUTPUTS
    }


def rounded_of(plan: Plan) -> dict[str, dict[str, Array]]:
    """Bounds of products of integers if their sums round, by output and profile, where that makes a difference.

    Not for sums in half precision, whose bounds are wider than a forgotten term.
    """
    if plan.verdict != "returns" or plan.data != "integers" or plan.twin or not set(plan.layers) & PRODUCTS:
        return {}
    found: dict[str, dict[str, Array]] = {}
    for name, profiles in answers_of(plan).items():
        for profile, (_, radius, check) in profiles.items():
            if profile == "fp16/acc16" or check == "dynamic int8":
                continue
            chosen = PROFILES[profile]
            fast = replace(chosen, arithmetic=replace(chosen.arithmetic, whole=False))
            wide = oracle(plan.model, plan.inputs, fast)[name].bound
            if ((radius == 0) & (wide > 0)).any():
                found.setdefault(name, {})[profile] = rounded_up(np.maximum(radius, wide))
    return found


def answers_of(plan: Plan) -> dict[str, dict[str, tuple[Array, Array, str]]]:
    """Reference, bound and class of each output, by output and profile."""
    if plan.verdict in ("malformed", "invalid") or (not plan.inputs and plan.family == "files"):
        return {}
    if plan.family == "files":
        return {}
    if plan.expected:
        return {
            name: {profile: (value, radius, "random") for profile in PROFILES}
            for name, (value, radius, _) in plan.expected.items()
        }
    result: dict[str, dict[str, tuple[Array, Array, str]]] = {}
    dynamic = _dynamic_range(plan)
    for profile in PROFILES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answers = oracle(plan.twin or plan.model, plan.inputs, profile)
        except OpenDecisionError:
            continue
        for name, answer in answers.items():
            value, radius, check = answer.value, answer.bound, answer.check
            if dynamic is not None:
                radius, check = np.broadcast_to(dynamic, value.shape), "dynamic int8"
            result.setdefault(name, {})[profile] = (value, radius, check)
    return result


def _dynamic_range(plan: Plan) -> Array | None:
    """For layers that quantize their input at run time: one step of eight bits in each number of the input.

    How the input is quantized is not specified. A step is at most max |x| / 127, and no rounding is off by more.
    """
    model = schema.Model.FromString(plan.model) if plan.verdict == "returns" else schema.Model()
    layers = model.neuralNetwork.layers
    if len(layers) != 1:
        return None
    params = getattr(layers[0], str(layers[0].WhichOneof("layer")))
    if not getattr(params, "int8DynamicQuantize", False):
        return None
    x = plan.inputs["x0"]
    scale = np.array(params.weights.quantization.linearQuantization.scale).reshape(-1, 1)
    weights = np.frombuffer(params.weights.int8RawValue, np.int8).reshape(-1, x.shape[-1]) * scale
    return np.asarray(1.01 * np.abs(weights).sum(axis=1) * np.abs(x).max() / 127)


def described(plan: Plan) -> tuple[dict[str, Any], bytes]:
    """``case.json`` and the file of arrays."""
    if isinstance(plan, ProgramPlan):
        return programs.described(plan)
    arrays = Arrays()
    inputs = [
        {"name": name, "dtype": "float32", "shape": list(array.shape), "values": arrays.add(array)}
        for name, array in plan.inputs.items()
    ]
    outputs = []
    deviations, rounded = deviation_of(plan), rounded_of(plan)
    for name, profiles in answers_of(plan).items():
        checks = {check for _, _, check in profiles.values()}
        item: dict[str, Any] = {"name": name, "shape": list(next(iter(profiles.values()))[0].shape)}
        if plan.free_ones:
            item["free_ones"] = True
        bounds = {profile: radius for profile, (_, radius, _) in profiles.items()}
        item["check"] = "exact" if not any(radius.any() for radius in bounds.values()) else min(checks)
        if plan.expected and plan.expected[name][2]:
            item["moments"] = [
                {"power": power, "reference": value, "bound": bound} for power, value, bound in plan.expected[name][2]
            ]
        item["profiles"] = {
            profile: {
                "reference": arrays.add(narrow(value)),
                "bound": arrays.add(rounded_up(radius)) if radius.any() else 0,
            }
            for profile, (value, radius, _) in profiles.items()
        }
        for profile, wide in rounded.get(name, {}).items():
            item["profiles"][profile]["rounded"] = arrays.add(wide)
        if name in deviations:
            item["profiles"]["fp16/acc16"]["deviation"] = arrays.add(deviations[name])
        outputs.append(item)
    content = arrays.content.getvalue()
    description: dict[str, Any] = {
        "format": 1,
        "id": plan.id,
        "family": plan.family,
        "layers": plan.layers,
        "data": plan.data,
        "clauses": plan.clauses,
        "requires": {
            "specification": plan.specification,
            "features": plan.features,
            **({"custom_layers": plan.custom_layers} if plan.custom_layers else {}),
        },
        **({"repeat": plan.repeat} if plan.repeat > 1 else {}),
        "verdict": plan.verdict,
        **({"rule": plan.rule} if plan.rule else {}),
        "model": {"file": "model.mlmodel", "sha256": hashlib.sha256(plan.model).hexdigest()},
        **({"arrays": {"file": "arrays.npy", "sha256": hashlib.sha256(content).hexdigest()}} if content else {}),
        "inputs": inputs,
        "outputs": outputs,
    }
    return description, content


def write(plan: Plan, folder: Path) -> None:
    """Write a case."""
    description, content = described(plan)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in plan.contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(model)
    if content:
        (folder / "arrays.npy").write_bytes(content)
    (folder / "case.json").write_text(_json(description) + "\n", encoding="utf-8", newline="\n")


def _json(description: dict[str, Any]) -> str:
    """Return one line a field, so that changes can be read."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in description.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def differences(plan: Plan, folder: Path) -> Iterator[str]:
    """Yield how a case on disk differs from what the catalogue and the oracle say, beyond float64 rounding.

    A bound of single precision is at least K 2^-24 M for sums of K terms of the magnitude M in all, whatever the order;
    in double precision the order changes less than K 2^-52 M, which is 2^-28 of it. Four times that are allowed. Bounds
    are written as float32, whose least step is 2^-149.
    """
    if not (folder / "case.json").exists():
        yield "is missing"
        return
    case = read_case(folder)
    description, _ = described(plan)
    written = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    for key in sorted({*description, *written} - {"model", "arrays", "outputs", "steps"}):
        if written.get(key) != description.get(key):
            yield f"{key} is {written.get(key)!r}, now {description.get(key)!r}"
    case.check_model()
    if set(case.files) != set(plan.contents):
        yield f"the model has the files {sorted(case.files)}, now {sorted(plan.contents)}"
    elif any(not _same_model(name, (folder / name).read_bytes(), plan) for name in case.files):
        yield "the model differs"
    if isinstance(plan, ProgramPlan):
        expected = [(answers, {}, {}) for answers in programs.answers_of(plan)]
    else:
        expected = [(answers_of(plan), deviation_of(plan), rounded_of(plan))]
    for step, inputs, now in zip(case.steps, plan.predictions, expected, strict=True):
        for name, array in step.read_inputs().items():
            if not np.array_equal(array, inputs[name], equal_nan=True):
                yield f"input {name} differs"
        yield from _different_outputs(case, step, *now)


def _same_model(name: str, content: bytes, plan: Plan) -> bool:
    """Return whether a file of a model is as it was planned; messages may be in another order."""
    if content == plan.contents[name]:
        return True
    return name.endswith(".mlmodel") and schema.Model.FromString(content) == schema.Model.FromString(
        plan.contents[name]
    )


def _different_outputs(
    case: Case,
    step: Step,
    now: Mapping[str, Mapping[str, tuple[Array, Array, str]]],
    deviations: Mapping[str, Array],
    rounded: Mapping[str, Mapping[str, Array]],
) -> Iterator[str]:
    if [output.name for output in step.outputs] != list(now):
        yield f"outputs are {[output.name for output in step.outputs]}, now {list(now)}"
        return
    for output in step.outputs:
        if sorted(output.profiles) != sorted(now[output.name]):
            yield f"output {output.place} has the profiles {sorted(output.profiles)}"
            continue
        for profile, expected in output.profiles.items():
            yield from _differences(case, f"{output.place}, {profile}", expected, *now[output.name][profile][:2])
            if profile == "fp16/acc16" and not _alike(expected.deviation, deviations.get(output.name)):
                yield f"output {output.place} has another deviation"
            if not _alike(expected.rounded, rounded.get(output.name, {}).get(profile)):
                yield f"output {output.place} has another bound of rounded sums"


def _alike(stored: Stored | None, now: Array | None) -> bool:
    if stored is None or now is None:
        return stored is None and now is None
    return np.allclose(stored.read(), now, rtol=2.0**-20, atol=0)


def _differences(case: Case, place: str, expected: Expected, value: Array, radius: Array) -> Iterator[str]:
    reference = expected.reference.read().astype(np.float64)
    bound = expected.bound if isinstance(expected.bound, float) else expected.bound.read().astype(np.float64)
    bound = np.broadcast_to(np.asarray(bound), reference.shape)
    if reference.shape != value.shape:
        yield f"{place}: the reference has the shape {reference.shape}, now {value.shape}"
        return
    with np.errstate(invalid="ignore"):
        close = (reference == value) | (np.abs(reference - value) <= 2.0**-26 * bound) | np.isinf(bound)
        # Bounds are kept in single precision, rounded up, which moves the smallest by up to its least subnormal number.
        same = (bound == radius) | (np.abs(bound - radius) <= 2.0**-20 * bound + 2.0**-149)
    if not (close | (np.isnan(reference) & np.isnan(value))).all():
        yield f"{place}: references differ by {np.nanmax(np.abs(reference - value)):.3g}"
    if not same.all():
        yield f"{place}: bounds differ, up to {np.nanmax(bound):.3g} and now {np.nanmax(radius):.3g}"


if __name__ == "__main__":
    sys.exit(main())
