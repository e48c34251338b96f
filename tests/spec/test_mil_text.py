"""The text of ML Programs: every form that is known, there and back, and every error with its line and column."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from refcoreml.errors import InvalidModelError, MalformedModelError, RefCoreMLError, UnsupportedModelError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.blobs import WEIGHT_FILE
from refcoreml.spec.mil_print import print_program
from refcoreml.spec.mil_text import OPSETS, parse_program
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    DeclaredDictionary,
    DeclaredList,
    DeclaredState,
    DeclaredTensor,
    DeclaredTuple,
    DeclaredType,
    read_type,
    type_message,
)
from refcoreml.spec.mil_values import read_value, value_message

MIL = schema.MILSpec

SCALED = """program(1.0)
[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"coremlc-version", "1.2"}, {"made by", "\\"us\\""}})]
{
    func main<ios17>(tensor<fp16, [1, ?]> x)
        [FlexibleShapeInformation = tuple<tuple<tensor<string, []>, dict<tensor<string, []>, tensor<int32, [?]>>>,
         tuple<tensor<string, []>, dict<tensor<string, []>, list<tensor<int32, [2]>, ?>>>>
         ((("DefaultShapes", {{"x", [1, 5]}}), ("RangeDims", {{"x", [[1, 1], [2, 7]]}})))] {
            tensor<fp16, [2, 1]> w = const()[name = tensor<string, []>("w"),
                val = tensor<fp16, [2, 1]>([[0x1p+0], [-0x1.8p-3]])];
            tensor<fp16, [2, ?]> y = mul(x = x, y = w)[name = tensor<string, []>("scaled")];
            tensor<fp16, [1, ?]> a, tensor<fp16, [1, ?]> b = split(axis = tensor<int32, []>(0), x = y);
        } -> (b, a);
}
"""

CACHED = """program(1.3)
{ func decode<ios18>(state<tensor<fp16, [3, 4]>> kv, tensor<int32, [1]> at) {
    tensor<fp16, [3, 4]> old = read_state(input = kv)[name = string("old")];
    tensor<fp16, [5, 3]> w = const()[val = tensor<fp16, [5, 3]>(BLOBFILE(
        path = string("@model_path/weights/weight.bin"), offset = uint64(64)))];
    tensor<fp16, [3, 4]> new = slice_update(begin = (at, int32(0)), x = old, go = bool(true),
        rate = fp32(0x1.99999ap-4));
    write_state(data = new, input = kv)[name = string("write")];
  } -> (new);
  func other<ios18>() { } -> ();
}
"""

BRANCHES = """program(1.3) {
  func main<ios15>(bool p, fp32 x) {
    fp32 y = cond(pred = p)[name = string("y")]
      { fp32 one = add(x = x, y = x); } -> (one)
      { fp32 two = while_loop(loop_vars = (x))
          (fp32 v) { bool go = less(x = v, y = fp32(3)); } -> (go),
          (fp32 v) { fp32 next = add(x = v, y = fp32(1.5)); } -> (next);
      } -> (two);
    (fp32 a, fp32 b) = cond(pred = p) () {} -> (x, y), () {} -> (y, x);
  } -> (y);
}
"""


def function_of(text: str, name: str = "main") -> Any:
    function = parse_program(text).functions[name]
    return function, function.block_specializations[function.opset]


def values(attributes: Any) -> dict[str, Any]:
    return {name: read_value(value).get() for name, value in attributes.items()}


def test_a_program_with_flexible_shapes() -> None:
    program = parse_program(SCALED)
    assert program.version == 1
    assert values(program.attributes) == {"buildInfo": {"coremlc-version": "1.2", "made by": '"us"'}}
    function, block = function_of(SCALED)
    assert function.opset == "CoreML7"
    assert [(item.name, str(read_type(item.type))) for item in function.inputs] == [("x", "tensor<fp16, [1, ?]>")]
    (first, default), (second, ranges) = values(function.attributes)["FlexibleShapeInformation"]
    assert (first.item(), default["x"].tolist()) == ("DefaultShapes", [1, 5])
    assert (second.item(), [bounds.tolist() for bounds in ranges["x"]]) == ("RangeDims", [[1, 1], [2, 7]])
    const, mul, split = block.operations
    assert (const.type, values(const.attributes)["name"].item()) == ("const", "w")
    np.testing.assert_array_equal(values(const.attributes)["val"], np.float16([[1], [-0.1875]]))
    assert {name: argument.arguments[0].name for name, argument in mul.inputs.items()} == {"x": "x", "y": "w"}
    assert [output.name for output in split.outputs] == ["a", "b"]
    assert read_value(split.inputs["axis"].arguments[0].value).get() == 0
    assert list(block.outputs) == ["b", "a"]


def test_states_files_and_scalars_of_version_1_3() -> None:
    program = parse_program(CACHED)
    assert sorted(program.functions) == ["decode", "other"]
    function, block = function_of(CACHED, "decode")
    assert str(read_type(function.inputs[0].type)) == "state<tensor<fp16, [3, 4]>>"
    _, const, update, write = block.operations
    blob = const.attributes["val"]
    assert (blob.blobFileValue.fileName, blob.blobFileValue.offset) == (WEIGHT_FILE, 64)
    assert str(read_type(blob.type)) == "tensor<fp16, [5, 3]>"
    begin = update.inputs["begin"].arguments
    assert begin[0].name == "at"
    assert read_value(begin[1].value).get() == 0
    assert read_value(update.inputs["go"].arguments[0].value).get() == np.True_
    assert read_value(update.inputs["rate"].arguments[0].value).get() == np.float32(0.1)
    assert (write.type, len(write.outputs)) == ("write_state", 0)


def test_nested_blocks() -> None:
    _, block = function_of(BRANCHES)
    branch, pair = block.operations
    true, false = branch.blocks
    assert (list(true.outputs), list(false.outputs)) == (["one"], ["two"])
    loop = false.operations[0]
    assert [[item.name for item in inner.inputs] for inner in loop.blocks] == [["v"], ["v"]]
    assert [operation.type for inner in loop.blocks for operation in inner.operations] == ["less", "add"]
    assert [item.name for item in pair.outputs] == ["a", "b"]
    assert [list(inner.outputs) for inner in pair.blocks] == [["x", "y"], ["y", "x"]]


@pytest.mark.parametrize("text", [SCALED, CACHED, BRANCHES])
def test_there_and_back(text: str) -> None:
    program = parse_program(text)
    assert parse_program(print_program(program)) == program
    assert MIL.Program.FromString(program.SerializeToString()) == program


def value_of(text: str) -> Any:
    """The value of an attribute."""
    program = parse_program(f"program(1.3)[v = {text}] {{}}")
    return read_value(program.attributes["v"]).get()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fp32(0x1.8p+1)", 3.0),
        ("fp32(-0X.8P1)", -1.0),
        ("fp32(1)", 1.0),
        ("fp32(1.25e-1)", 0.125),
        ("fp32(.5)", 0.5),
        ("fp32(inf)", np.inf),
        ("fp32(-inf)", -np.inf),
        ("fp16(-Infinity)", -np.inf),
        ("fp64(0x1p-1074)", 5e-324),
        ("int32(-2147483648)", -(2**31)),
        ("uint64(18446744073709551615)", 2**64 - 1),
        ("int32(0x10)", 16),
        ("bool(false)", False),
        ("tensor<bool, [2]>([true, false])", [True, False]),
        ("tensor<int32, [2, 2]>([[1, 2], [3, 4]])", [[1, 2], [3, 4]]),
        ("tensor<int32, [2, 2]>([1, 2, 3, 4])", [[1, 2], [3, 4]]),
        ("tensor<int32, [0, 3]>([])", np.zeros((0, 3)).tolist()),
        ("tensor<int32, [2, 0]>([[], []])", [[], []]),
        ("tensor<int4, [3]>([-8, 0, 7])", [-8, 0, 7]),
        ("tensor<bf16, [2]>([0x1p+0, -3])", [1, -3]),
        ('string("a\\n\\t\\\\\\x41\\u00e9\\101\\q")', "a\n\t\\AéAq"),
        ('string("é\\xc3\\xa9")', "éé"),
        ('string("")', ""),
        ('list<string, 2>(["a", "b"])', ["a", "b"]),
        ('list<string, ?>(("a", "b"))', ["a", "b"]),
        ("tuple<>()", ()),
        ("dict<int64, fp64>({{1, 0.5}, {-2, 0.25}})", {1: 0.5, -2: 0.25}),
    ],
)
def test_literals(text: str, expected: Any) -> None:
    found = value_of(text)
    if isinstance(found, np.ndarray):
        assert found.tolist() == expected
    else:
        assert [item.item() for item in found] == expected if isinstance(found, list) else found == expected


def test_not_a_number() -> None:
    assert np.isnan(value_of("tensor<fp16, [3]>([nan, -nan, NaN])")).all()


@pytest.mark.parametrize("word", OPSETS)
def test_sets_of_operations(word: str) -> None:
    program = parse_program(f"program(1.0) {{ func f<{word}>() {{}} -> (); }}")
    assert program.functions["f"].opset == OPSETS[word]
    assert list(program.functions["f"].block_specializations) == [OPSETS[word]]
    assert f"func f<{word}>()" in print_program(program)


def test_types_of_scalars_are_short_since_coreml8() -> None:
    text = """program({})
{{
    func main<{}>() {{
        {} x = const()[name = {}("x"), val = {}(3)];
        {} y = const()[name = {}("tensor<fp16, []> \\"y\\""), val = {}(0x1.8p+0)];
    }} -> (x, y);
}}
"""
    long = [f"tensor<{name}, []>" for name in ("int32", "string", "int32", "fp16", "string", "fp16")]
    older = text.format("1.0", "ios17", *long)
    newer = text.format("1.3", "ios18", "int32", "string", "int32", "fp16", "string", "fp16")
    assert print_program(parse_program(older)) == older
    assert print_program(parse_program(newer)) == newer
    assert print_program(parse_program(text.format("1.0", "ios18", *long))) == newer


# --- any program ------------------------------------------------------------------------------------------------------

names = st.sampled_from(["x", "y_1", "_", "CamelCase", "a@b", "fp16_workaround", "loop:0", "scope.y/z"])
texts = st.text(max_size=6)


@st.composite
def tensors(draw: Any) -> tuple[DeclaredType, Any]:
    element = draw(st.sampled_from(list(DATA_TYPES.values())))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = int(np.prod(shape))
    number: Any = st.floats(width=16, allow_nan=False)
    if element.name == "string":
        number = texts
    elif element.name.startswith("fp8"):
        number = st.sampled_from([0.0, -0.0, 1.5, 448.0 if "fn" in element.name else np.inf, 2.0**-6])
    elif element.name == "bf16":
        number = st.sampled_from([0.0, -0.0, 1.5, np.inf, 2.0**-130])
    elif element.dtype.kind == "b":
        number = st.booleans()
    elif element.dtype.kind in "iu":
        signed = element.dtype.kind == "i"
        number = st.integers(-(2 ** (element.bits - 1)) if signed else 0, 2 ** (element.bits - signed) - 1)
    array = np.empty(count, element.dtype)
    array[:] = draw(st.lists(number, min_size=count, max_size=count))
    return DeclaredTensor(element, shape), array.reshape(shape)


def containers(inner: Any) -> Any:
    keys = st.sampled_from([("string", texts), ("int32", st.integers(-(2**31), 2**31 - 1))])
    return (
        st.tuples(inner, st.integers(0, 2)).map(
            lambda drawn: (DeclaredList(drawn[0][0], drawn[1]), [drawn[0][1]] * drawn[1])
        )
        | st.lists(inner, max_size=3).map(
            lambda items: (DeclaredTuple(tuple(item[0] for item in items)), tuple(item[1] for item in items))
        )
        | st.tuples(
            keys.flatmap(lambda key: st.tuples(st.just(key[0]), st.lists(key[1], max_size=2, unique=True))), inner
        ).map(
            lambda drawn: (
                DeclaredDictionary(DeclaredTensor(DATA_TYPES[drawn[0][0]], ()), drawn[1][0]),
                dict.fromkeys(drawn[0][1], drawn[1][1]),
            )
        )
    )


typed = st.recursive(tensors(), containers, max_leaves=3)
stored = typed.map(lambda pair: value_message(*pair))


@st.composite
def blobs(draw: Any) -> Any:
    element = draw(st.sampled_from([element for element in DATA_TYPES.values() if element.blob is not None]))
    message = MIL.Value(
        type=type_message(DeclaredTensor(element, tuple(draw(st.lists(st.integers(0, 9), max_size=3)))))
    )
    message.blobFileValue.fileName = draw(texts.filter(bool))
    message.blobFileValue.offset = draw(st.integers(0, 2**63 - 1))
    return message


declared = typed.map(lambda pair: pair[0]) | typed.map(lambda pair: DeclaredState(pair[0]))
declarations = st.lists(st.builds(MIL.NamedValueType, name=names, type=declared.map(type_message)), max_size=2)
bindings = st.builds(MIL.Argument.Binding, name=names) | st.builds(MIL.Argument.Binding, value=stored)
arguments = st.dictionaries(
    names, st.lists(bindings, max_size=3).map(lambda many: MIL.Argument(arguments=many)), max_size=2
)
attributes = st.dictionaries(names, stored | blobs(), max_size=2)


def operations(block: Any) -> Any:
    return st.builds(
        MIL.Operation,
        type=names,
        inputs=arguments,
        outputs=declarations,
        blocks=st.lists(block, max_size=2),
        attributes=attributes,
    )


def blocks(inner: Any, inputs: Any = declarations) -> Any:
    return st.builds(
        MIL.Block,
        inputs=inputs,
        outputs=st.lists(names, max_size=2),
        operations=st.lists(operations(inner), max_size=2),
    )


leaves = st.builds(MIL.Block, outputs=st.lists(names, max_size=2))
bodies = blocks(blocks(leaves), st.just([]))


@st.composite
def programs(draw: Any) -> Any:
    program = MIL.Program(version=1, attributes=draw(attributes))
    for name in draw(st.lists(names, max_size=2, unique=True)):
        opset = draw(st.sampled_from([*OPSETS.values()]))
        program.functions[name].CopyFrom(
            MIL.Function(
                inputs=draw(declarations),
                opset=opset,
                block_specializations={opset: draw(bodies)},
                attributes=draw(attributes),
            )
        )
    return program


@settings(max_examples=examples(60), deadline=None)
@given(programs())
def test_any_program_there_and_back(program: Any) -> None:
    text = print_program(program)
    assert parse_program(text) == program
    assert print_program(parse_program(text)) == text


# --- what is wrong ----------------------------------------------------------------------------------------------------


def in_body(text: str) -> str:
    return f"program(1.0) {{\n  func main<ios16>(fp16 x) {{\n    {text}\n  }} -> (x);\n}}"


DAMAGED: dict[str, tuple[str, tuple[int, int], str]] = {
    "nothing": ("", (1, 1), "expected 'program', got the end"),
    "something else": ("<html>", (1, 1), "expected 'program', got '<'"),
    "no version": ("program() {}", (1, 9), "expected the version of the text, got ')'"),
    "breaks off": (in_body("fp16 y = add(x = x"), (4, 3), "expected ',' or ')', got '}'"),
    "breaks off at the end": ("program(1.0) {", (1, 15), "expected 'func', got the end"),
    "more after the end": ("program(1.0) {} {}", (1, 17), "expected the end, got '{'"),
    "a text without an end": (in_body('string s = const()[val = string("abc'), (3, 37), "a text that does not end"),
    "a control": (in_body("\0"), (3, 5), "cannot be part of a program"),
    "no semicolon": (in_body("fp16 y = relu(x = x) fp16 z"), (3, 26), "expected ';', got 'fp16'"),
    "no equals sign": (in_body("fp16 y relu(x = x);"), (3, 12), "expected '=', got 'relu'"),
    "an unknown type": (in_body("fp17 y = relu(x = x);"), (3, 10), "expected '(', got 'y'"),
    "an unknown element": (in_body("tensor<fp17, [1]> y = f();"), (3, 12), "expected a type of elements"),
    "a negative length": (in_body("tensor<fp16, [-1]> y = f();"), (3, 19), "expected a length or '?', got '-1'"),
    "a fractional length": (in_body("tensor<fp16, [1.5]> y = f();"), (3, 19), "expected a length or '?'"),
    "a huge length": (in_body(f"tensor<fp16, [{10**30}]> y = f();"), (3, 19), "expected a length or '?'"),
    "a parameter without a value": (in_body("fp16 y = f(x = );"), (3, 20), "expected a name or a value"),
    "a parameter twice": (in_body("fp16 y = f(x = x, x = x);"), (3, 23), "'x' is given twice"),
    "an attribute twice": (in_body("f()[a = fp16(1), a = fp16(1)];"), (3, 22), "'a' is given twice"),
    "too many elements": (in_body("f(a = tensor<fp16, [2]>([1, 2, 3]));"), (3, 11), "shape (3,)"),
    "too few elements": (in_body("f(a = tensor<fp16, [2, 2]>([1, 2, 3]));"), (3, 32), "has 4"),
    "ragged lists": (in_body("f(a = tensor<fp16, [2, 2]>([[1, 2], [3]]));"), (3, 11), "differ in length"),
    "a wrong element": (in_body('f(a = fp16("x"));'), (3, 16), "expected an element of type fp16"),
    "a fraction for an integer": (in_body("f(a = int32(1.5));"), (3, 17), "expected an element of type int32"),
    "an integer out of range": (in_body("f(a = int8(128));"), (3, 11), "tensor<int8, []> does not have"),
    "a float out of range": (in_body("f(a = fp16(70000));"), (3, 11), "beyond the range"),
    "a number that is none": (in_body("f(a = fp16(0x));"), (3, 16), "expected an element of type fp16"),
    "a huge exponent": (in_body("f(a = fp32(0x1p999999));"), (3, 16), "expected an element of type fp32"),
    "digits without end": (in_body(f"f(a = int32({'9' * 5000}));"), (3, 17), "expected an element of type int32"),
    "not UTF-8": (in_body('f(a = string("\\xff"));'), (3, 18), "is no UTF-8"),
    "a state for a value": (in_body("f(a = state<fp16>(1));"), (3, 23), "no values of type state"),
    "unknown length without elements": (in_body("f(a = tensor<fp16, ?>(BLOB));"), (3, 27), "an element of type"),
    "a blob without an offset": (
        in_body('f(a = fp16(BLOBFILE(path = string("a"))));'),
        (3, 44),
        "a path and an offset",
    ),
    "a blob before its file": (
        in_body('f(a = fp16(BLOBFILE(path = string("a"), offset = int32(-1))));'),
        (3, 64),
        "a path and an offset",
    ),
    "a key twice": (in_body('f(a = dict<string, fp16>({{"a", 1}, {"a", 2}}));'), (3, 50), "a key twice"),
    "a list for a key": (
        in_body("f(a = dict<tensor<int32, [1]>, fp16>({{[1], 2}}));"),
        (3, 47),
        "the key of a dictionary",
    ),
    "too many values": (in_body("f(a = tuple<fp16>((1, 2)));"), (3, 27), "more values than types"),
    "too few values": (in_body("f(a = tuple<fp16, fp16>((1)));"), (3, 11), "got tuple"),
    "a function twice": (
        "program(1.0) {\nfunc f<ios15>() {} -> ();\nfunc f<ios15>() {} -> ();}",
        (3, 6),
        "two functions called 'f'",
    ),
    "axes without end": (in_body(f"tensor<fp16, [{'1, ' * 20}1]> y = f();"), (3, 12), "has 21 axes, at most 16"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_texts(name: str) -> None:
    text, (line, column), problem = DAMAGED[name]
    with pytest.raises(MalformedModelError) as caught:
        parse_program(text, "model.mil")
    assert problem in caught.value.problem
    assert caught.value.where == f"model.mil, line {line}, column {column}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("program(2.0) {}", "is of version '2.0'"),
        ("program(1.0) { func f<ios99>() {} -> (); }", "'ios99' is not known here, known are ios13,"),
    ],
)
def test_what_newer_systems_may_have(text: str, problem: str) -> None:
    with pytest.raises(UnsupportedModelError, match=problem) as caught:
        parse_program(text)
    assert caught.value.where.startswith("line 1, column ")


DEEP = 10_000


@pytest.mark.parametrize(
    "text",
    [
        in_body("f(a = tensor<fp16, [1]>(" + "[" * DEEP),
        in_body("f(a = " + "list<" * DEEP),
        in_body("f(a = " + "tuple<" * DEEP + "fp16" + ">" * DEEP + "(" + "(" * DEEP),
        in_body("state<" * DEEP),
        in_body("f() {" * DEEP + "} -> ();" * DEEP),
        in_body("f() () {" * DEEP + "} -> ()," * DEEP),
        "program(1.0) {" * DEEP,
        "(" * DEEP,
    ],
    ids=range(8),
)
def test_texts_nested_ten_thousand_deep(text: str) -> None:
    started = time.process_time()
    with pytest.raises(MalformedModelError):
        parse_program(text)
    assert time.process_time() - started < 1


def test_blocks_as_deep_as_messages_allow() -> None:
    """What the parser takes can be read again from bytes, and what is deeper it refuses."""

    def nested(depth: int) -> str:
        inner = 'f(a = list<tuple<dict<string, tensor<int32, [1]>>>, 1>([({{"a", [1]}})]));'
        return in_body("f() {" * depth + inner + "} -> ();" * depth)

    program = parse_program(nested(24))
    model = schema.Model(specificationVersion=7, mlProgram=program)
    assert schema.Model.FromString(model.SerializeToString()) == model
    with pytest.raises(MalformedModelError, match="blocks are nested more than 24 levels deep"):
        parse_program(nested(25))


@pytest.mark.parametrize(
    "part",
    [
        "fp16 y = relu(x = x);\n",
        "f(a = tensor<fp16, [9]>([1, 2, 3, 4, 5, 6, 7, 8, 9]));",
        " " * 50,
        'f(a = string("\\"\\"\\"\\""));',
        "f(" + ", ".join(f"a{index} = x" for index in range(9)) + ");",
    ],
)
def test_time_in_proportion(part: str) -> None:
    def seconds(count: int) -> float:
        text = in_body(part * count)
        best = np.inf
        for _ in range(3):
            started = time.process_time()
            parse_program(text)
            best = min(best, time.process_time() - started)
        return best

    short, long = seconds(400), seconds(4000)
    assert long < 30 * short + 0.05


def test_long_words_are_shown_in_part() -> None:
    with pytest.raises(MalformedModelError) as caught:
        parse_program("a" * 10**6)
    assert len(str(caught.value)) < 300


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_mutations_are_refused_or_parsed(data: Any) -> None:
    text = data.draw(st.sampled_from([SCALED, CACHED, BRANCHES]))
    for _ in range(data.draw(st.integers(1, 3))):
        start, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 8))
        inserted = data.draw(
            st.sampled_from(["", "(", ")", "{", "}", "[", "]", "<", ">", ",", '"', "0", "x", "tensor", "\\"])
        )
        text = text[:start] + inserted + text[start + length :]
    try:
        parse_program(text)
    except RefCoreMLError as error:
        place = error.where
        assert isinstance(error, (MalformedModelError, UnsupportedModelError))  # noqa: PT017
        assert "line " in place


# --- what cannot be written -------------------------------------------------------------------------------------------


def test_what_has_no_text() -> None:
    program = parse_program(in_body("f(a = x);"))
    program.functions["main"].block_specializations["CoreML6"].operations[0].type = "no name"
    with pytest.raises(UsageError, match="'no name' cannot be written"):
        print_program(program)
    program.functions["main"].opset = "CoreML7"
    with pytest.raises(InvalidModelError, match="no block for its set of operations 'CoreML7', there are 'CoreML6'"):
        print_program(program)


# --- models that others made ------------------------------------------------------------------------------------------

MODELS = Path(os.environ.get("REFCOREML_MODELS", Path(__file__).resolve().parents[3] / "shared" / "models"))


def real(pattern: str) -> list[Any]:
    found = sorted(MODELS.rglob(pattern))
    reason = f"no {pattern} in {MODELS}; name a folder of models in REFCOREML_MODELS"
    return [pytest.param(path, id=path.parent.name) for path in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason=reason))
    ]


@pytest.mark.parametrize("path", real("model.mil"))
def test_real_texts(path: Path) -> None:
    program = parse_program(path.read_text(encoding="utf-8"), str(path))
    assert program.functions
    assert parse_program(print_program(program)) == program


@pytest.mark.parametrize("path", real("model.mlmodel"))
def test_real_programs(path: Path) -> None:
    model = schema.Model.FromString(path.read_bytes())
    if model.WhichOneof("Type") == "mlProgram":
        assert parse_program(print_program(model.mlProgram)) == model.mlProgram


def test_a_program_that_coremltools_makes() -> None:
    ct = pytest.importorskip("coremltools")
    mb = ct.converters.mil.Builder

    @mb.program(
        input_specs=[mb.TensorSpec(shape=(2, 3)), mb.TensorSpec(shape=(1,), dtype=ct.converters.mil.mil.types.bool)]
    )
    def program(x: Any, p: Any) -> Any:
        steps = mb.while_loop(
            _cond=lambda i, v: mb.less(x=i, y=3.0),
            _body=lambda i, v: (mb.add(x=i, y=1.0), mb.mul(x=v, y=np.arange(15, dtype=np.float32).reshape(5, 3)[:1])),
            loop_vars=(0.0, x),
        )
        picked = mb.cond(pred=mb.squeeze(x=p), _true_fn=lambda: mb.relu(x=x), _false_fn=lambda: mb.exp(x=x))
        return mb.add(x=steps[1], y=picked)

    made = ct.convert(program, convert_to="mlprogram", compute_precision=ct.precision.FLOAT16)
    message = schema.Model.FromString(made.get_spec().SerializeToString()).mlProgram
    operations = message.functions["main"].block_specializations[message.functions["main"].opset].operations
    assert {"while_loop", "cond"} <= {operation.type for operation in operations}
    assert parse_program(print_program(message)) == message
