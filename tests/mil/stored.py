"""Weights of a package, read without refcoreml's own reader of their file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

import refcoreml
from refcoreml.types import Array

#: What the numbers of types mean in files of weights, and in messages.
IN_FILES, IN_MESSAGES = {1: np.float16, 2: np.float32}, {10: np.float16, 11: np.float32}


def stored_weights(package: Path) -> dict[str, Array]:
    """Return the constants of fp16 and fp32 that no operation makes, by name."""
    function = refcoreml.load(package, prepare=False).spec.mlProgram.functions["main"]
    content = next(package.rglob("weight.bin")).read_bytes()
    found = {}
    for operation in function.block_specializations[function.opset].operations:
        value = operation.attributes["val"]
        shape = [dimension.constant.size for dimension in value.type.tensorType.dimensions]
        if operation.type != "const" or value.type.tensorType.dataType not in IN_MESSAGES:
            continue
        dtype = IN_MESSAGES[value.type.tensorType.dataType]
        tensor = value.immediateValue.tensor
        if value.HasField("blobFileValue"):
            sentinel, kind, size, place = struct.unpack_from("<IIQQ", content, value.blobFileValue.offset)
            assert (sentinel, IN_FILES[kind]) == (0xDEADBEEF, dtype)
            array = np.frombuffer(content[place : place + size], dtype)
        else:
            array = (
                np.array(tensor.floats.values, dtype)
                if dtype == np.float32
                else np.frombuffer(tensor.bytes.values, dtype)
            )
        found[operation.outputs[0].name] = array.reshape(shape)
    return found
