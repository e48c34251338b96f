"""Packages: constants in files of weights, several functions; and programs that break rules of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, files_of, program
from refcoreml import build
from refcoreml.spec import schema

_WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
_MODEL = "Data/com.apple.CoreML/model.mlmodel"


def plans() -> Iterator[ProgramPlan]:
    yield from _blobs()
    yield from _functions()
    yield from _damaged()
    yield from _graphs()


def _blobs() -> Iterator[ProgramPlan]:
    def floats(p: Making) -> Any:
        return p.add("linear", x=p["x"], weight=C(4, 6), bias=C(4))

    def integers(element: str, p: Making) -> Any:
        made = p.add("constexpr_blockwise_shift_scale", data=C(4, 6, type=element, kind="full"), scale=C(4, 1))
        return p.add("linear", x=p["x"], weight=made, bias=C(4))

    def codes(bits: int, p: Making) -> Any:
        indices = C(4, 6, type=f"uint{bits}", kind="full")
        made = p.add("constexpr_lut_to_dense", indices=indices, lut=C(1, 1, 2**bits, 1))
        return p.add("linear", x=p["x"], weight=made, bias=C(4))

    def gathered(element: str, p: Making) -> Any:
        return p.add("add", x=p["x"], y=p.add("cast", x=C(3, 6, type=element, kind="full"), dtype="fp32"))

    def shared(p: Making) -> Any:
        weights = p.program.constant(p.constant(C(6, 6)))
        y = p.add("linear", x=p["x"], weight=weights, bias=C(6))
        return p.add("linear", x=y, weight=weights, bias=C(6))

    given: dict[str, Any] = {"inputs": {"x": X(3, 6)}, "packed": True}
    name = "package"
    yield from program(name, "floats", floats, kinds="integers zero-mean fp16:integers fp16:zero-mean", **given)
    for element in ("int4", "uint4", "int8", "uint8"):
        yield from program(name, element, partial(integers, element), kinds="integers", opset="CoreML8", **given)
    for bits in (1, 2, 3, 4, 6, 8):
        yield from program(name, f"codes-{bits}", partial(codes, bits), kinds="integers", opset="CoreML8", **given)
    for element in ("int16", "uint16", "int32"):
        yield from program(name, element, partial(gathered, element), kinds="integers", opset="CoreML7", **given)
    yield from program(name, "shared", shared, kinds="integers", **given)


def _functions() -> Iterator[ProgramPlan]:
    inputs = {"x": X(3, 6)}

    def make(factor: int, p: Making) -> Any:
        weights = C(value=np.arange(24).reshape(4, 6) % 5 - 2)  # the same for all functions
        y = p.add("linear", x=p["x"], weight=weights, bias=np.full(4, factor, np.float32))
        return p.add("mul", x=y, y=np.float32(factor))

    for chosen, function in (("first", ""), ("first", "first"), ("second", "second")):
        factors = {"first": 2, "second": -3}
        label = f"functions-{function or 'default'}"
        (plan,) = program("package", label, partial(make, factors[chosen]), inputs, kinds="integers", opset="CoreML8")
        programs = {}
        for name, factor in factors.items():
            making = Making(plan.id, "fp32", "integers", "CoreML8", inputs, {})
            making.finish([make(factor, making)])
            programs[name] = making.program
        plan.files = files_of(lambda path, made=programs: build.functions(made, default="first", path=path))
        plan.model, plan.function = b"", function
        yield plan


def _damaged() -> Iterator[ProgramPlan]:
    def linear(p: Making) -> Any:
        return p.add("linear", x=p["x"], weight=C(4, 6), bias=C(4))

    def without(files: dict[str, bytes]) -> None:
        del files[_WEIGHTS]

    def cut(files: dict[str, bytes]) -> None:
        files[_WEIGHTS] = files[_WEIGHTS][:-16]

    def no_sentinel(files: dict[str, bytes]) -> None:
        content = bytearray(files[_WEIGHTS])
        content[64:68] = bytes(4)  # the metadata of the first constant begin with a number of their own
        files[_WEIGHTS] = bytes(content)

    def offset(files: dict[str, bytes]) -> None:
        spec = schema.Model.FromString(files[_MODEL])
        for block in spec.mlProgram.functions["main"].block_specializations.values():
            for operation in block.operations:
                for attribute in operation.attributes.values():
                    if attribute.WhichOneof("value") == "blobFileValue":
                        attribute.blobFileValue.offset = 1 << 40
        files[_MODEL] = spec.SerializeToString(deterministic=True)

    rules: dict[str, tuple[str, Callable[[dict[str, bytes]], None]]] = {
        "no-weights": ("the file of weights is there", without),
        "cut": ("the file of weights holds all numbers of a constant", cut),
        "no-sentinel": ("what describes a constant begins with 0xDEADBEEF", no_sentinel),
        "offset": ("an offset lies in the file", offset),
    }
    for label, (rule, change) in rules.items():
        yield from program(
            "package",
            f"invalid-{label}",
            linear,
            {"x": X(3, 6)},
            kinds="integers",
            packed=change,
            verdict="invalid",
            rule=rule,
        )


def _block(spec: schema.Model) -> Any:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return block


def _graphs() -> Iterator[ProgramPlan]:
    """Yield programs of two operations, y = relu(x) + x, with one fault each."""

    def make(p: Making) -> Any:
        return p.add("add", x=p.add("relu", x=p["x"], name="first"), y=p["x"], name="second")

    def undefined(spec: schema.Model) -> None:
        _block(spec).operations[1].inputs["x"].arguments[0].name = "nothing"

    def order(spec: schema.Model) -> None:
        operations = _block(spec).operations
        first = schema.MILSpec.Operation.FromString(operations[0].SerializeToString())
        operations[0].CopyFrom(operations[1])
        operations[1].CopyFrom(first)

    def twice(spec: schema.Model) -> None:
        _block(spec).operations[1].outputs[0].name = "first"
        _block(spec).outputs[0] = "first"

    def no_output(spec: schema.Model) -> None:
        _block(spec).outputs[0] = "nothing"

    def not_described(spec: schema.Model) -> None:
        spec.description.input[0].name = "other"

    def described_twice(spec: schema.Model) -> None:
        spec.description.input.add().CopyFrom(spec.description.input[0])

    def shape(spec: schema.Model) -> None:
        _block(spec).operations[0].outputs[0].type.tensorType.dimensions[0].constant.size = 7

    def element(spec: schema.Model) -> None:
        _block(spec).operations[0].outputs[0].type.tensorType.dataType = schema.MILSpec.INT32

    def missing(spec: schema.Model) -> None:
        del _block(spec).operations[1].inputs["y"]

    def unknown_parameter(spec: schema.Model) -> None:
        _block(spec).operations[1].inputs["z"].arguments.add(name="x")

    def results(spec: schema.Model) -> None:
        _block(spec).operations[0].outputs.add().CopyFrom(_block(spec).operations[0].outputs[0])
        _block(spec).operations[0].outputs[1].name = "more"

    def no_block(spec: schema.Model) -> None:
        spec.mlProgram.functions["main"].block_specializations.clear()

    rules: dict[str, tuple[str, Callable[[schema.Model], None]]] = {
        "undefined": ("values are defined before they are used", undefined),
        "order": ("values are defined before they are used", order),
        "twice": ("a name is defined once", twice),
        "no-output": ("a block returns values that exist", no_output),
        "not-described": ("inputs of the function are described by the model", not_described),
        "described-twice": ("inputs have different names", described_twice),
        "shape": ("a result has the shape that is declared", shape),
        "element": ("a result has the type of elements that is declared", element),
        "missing": ("required parameters are given", missing),
        "unknown-parameter": ("parameters are those that the operation has", unknown_parameter),
        "results": ("there are as many results as the operation has", results),
        "no-block": ("a function has a block for its operation set", no_block),
    }
    for label, (rule, change) in rules.items():
        yield from program(
            "program",
            f"invalid-{label}",
            make,
            {"x": X(3, 4)},
            kinds="integers",
            opset="CoreML7",
            change=change,
            verdict="invalid",
            rule=rule,
        )
    yield from program("program", "plain", make, {"x": X(3, 4)}, kinds="integers special fp16:special", opset="CoreML7")
