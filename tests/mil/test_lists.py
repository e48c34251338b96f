"""Lists: values that are never changed, growth, lengths that the first element says, and indices out of range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from refcoreml.build.program import Program as Builder
from refcoreml.build.program import Result
from refcoreml.errors import InputError, InvalidModelError, LimitError
from refcoreml.execution.limits import Budget, Limits
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredList, DeclaredTensor
from refcoreml.types import Array

ELEMENTS = {"fp16": np.float16, "fp32": np.float32, "int32": np.int32, "bool": np.bool_}


def list_type(element: str, *shape: int | None, length: int = 1) -> DeclaredList:
    return DeclaredList(DeclaredTensor(DATA_TYPES[element], shape), length)


class Lists:
    """Builds a program of lists."""

    def __init__(self, element: str, *shape: int | None, inputs: Any = None, **make: Any) -> None:
        self.builder = Builder(inputs or {}, opset="CoreML5")
        self.element, self.type = element, list_type(element, *shape)
        lengths = [self.builder.constant(f"s{i}" if n is None else np.int32(n)) for i, n in enumerate(shape)]
        given = {"elem_shape": lengths or np.zeros(0, np.int32), "dtype": element, **make}
        self.made = self.builder.add("make_list", **{key: value for key, value in given.items() if value is not ...})

    def write(self, ls: Result, index: Any, value: Any) -> Result:
        found: Result = self.builder.add("list_write", outputs=[self.type], ls=ls, index=index, value=value)
        return found

    def scatter(self, ls: Result, indices: Any, value: Any) -> Result:
        indices = np.int32(indices) if isinstance(indices, list) else indices
        found: Result = self.builder.add("list_scatter", outputs=[self.type], ls=ls, indices=indices, value=value)
        return found

    def read(self, ls: Result, index: Any) -> Result:
        shape = self.type.element.shape
        found: Result = self.builder.add("list_read", outputs=[(self.element, shape)], ls=ls, index=index)
        return found

    def gather(self, ls: Result, indices: Any) -> Result:
        indices = np.int32(indices) if isinstance(indices, list) else indices
        shape = (None, *self.type.element.shape)
        found: Result = self.builder.add("list_gather", outputs=[(self.element, shape)], ls=ls, indices=indices)
        return found

    def length(self, ls: Result) -> Result:
        found: Result = self.builder.add("list_length", outputs=[("int32", ())], ls=ls)
        return found

    def program(self, *wanted: Result, **options: Any) -> Program:
        self.builder.output(*wanted)
        message = schema.MILSpec.Program(version=1)
        message.functions["main"].CopyFrom(self.builder.function())
        return Program(message, "main", **options)

    def run(self, *wanted: Result, inputs: Mapping[str, Array] | None = None, **options: Any) -> list[Array]:
        found = self.program(*wanted, **options).run(inputs or {})
        return [found[result.name] for result in wanted]


def same(found: list[Array], *expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.clause(
    "mil.make_list.S1",
    "mil.make_list.S2",
    "mil.list_write.S1",
    "mil.list_write.S2",
    "mil.list_scatter.S1",
    "mil.list_read.S1",
    "mil.list_gather.S1",
    "mil.list_length.S1",
)
def test_lists_begin_with_zeros_and_grow(element: str, precision: str) -> None:
    """Of five elements after a write at 4, one at 3 was never written; in the types that hold the declared ones."""
    lists, dtype = Lists(element, 2, init_length=2), ELEMENTS[element]
    made = lists.made
    one = lists.write(made, 0, np.array([1, 3], dtype))
    five = lists.write(one, 4, np.array([2, 4], dtype))
    last = lists.scatter(five, [2, 1], np.array([[5, 0], [6, 7]], dtype))
    wanted = [
        lists.read(made, 0),
        lists.read(last, 0),
        lists.gather(last, [4, 2, 3]),
        lists.read(last, 1),
        lists.length(made),
        lists.length(last),
    ]
    held = PRECISIONS[precision]
    found = lists.run(*wanted, precision=held)
    assert {y.dtype for y in found[:4]} == {held.dtype(np.dtype(dtype))}
    same(found[:3], [0, 0], np.array([1, 3], dtype), np.array([[2, 4], [5, 0], [0, 0]], dtype))
    same(found[3:], np.array([6, 7], dtype), 2, 5)
    assert found[4].dtype == np.int32
    assert found[4].shape == ()


@pytest.mark.clause("programs.U17")
def test_writing_leaves_the_list_as_it_was() -> None:
    lists = Lists("fp32", 2, init_length=3)
    one = lists.write(lists.made, 1, np.float32([1, 2]))
    other = lists.write(one, 1, np.float32([3, 4]))
    longer = lists.scatter(one, [5], np.float32([[5, 6]]))
    wanted = [lists.read(ls, 1) for ls in (lists.made, one, other, longer)]
    same(lists.run(*wanted, lists.length(one), lists.length(longer)), [0, 0], [1, 2], [3, 4], [1, 2], 3, 6)


@pytest.mark.clause("mil.make_list.C1", "mil.list_scatter.S1", "mil.list_gather.S1")
def test_elements_of_rank_0_and_of_4() -> None:
    lists = Lists("int32", init_length=2)
    full = lists.scatter(lists.made, [3, 0], np.int32([7, 8]))
    same(lists.run(lists.read(full, 3), lists.gather(full, [0, 1, 3])), 7, [8, 0, 7])
    lists = Lists("fp32", 2, 3, 4, 5)
    x = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    full = lists.write(lists.made, 0, x)
    same(lists.run(lists.gather(full, [0, 0])), np.stack([x, x]))


@pytest.mark.clause("mil.make_list.S1", "mil.make_list.S2")
def test_defaults() -> None:
    lists = Lists("fp32", dtype=..., elem_shape=np.int32([2]))
    lists.type = list_type("fp32", 2)
    longer = lists.write(lists.made, 2, np.float32([1, 2]))
    same(lists.run(lists.length(lists.made), lists.gather(longer, [0, 2])), 1, [[0, 0], [1, 2]])


@pytest.mark.clause("mil.list_write.C1", "mil.list_read.C1")
def test_indices_of_one_element() -> None:
    lists = Lists("fp32", 2, init_length=4)
    one = lists.write(lists.made, np.int32([2]), np.float32([1, 2]))
    same(lists.run(lists.read(one, np.int32([2]))), [1, 2])


@pytest.mark.clause("programs.U7")
def test_of_two_elements_at_one_place_the_last_counts() -> None:
    lists = Lists("fp32", 2, init_length=4)
    full = lists.scatter(lists.made, [1, 1], np.float32([[1, 2], [3, 4]]))
    same(lists.run(lists.read(full, 1)), [3, 4])


@pytest.mark.clause("mil.make_list.S1", "mil.make_list.C2")
def test_lengths_may_be_computed() -> None:
    lists = Lists("fp32", 2, inputs={"n": ("int32", ())}, init_length=...)
    made = lists.builder.add(
        "make_list", outputs=[lists.type], init_length=lists.builder["n"], elem_shape=np.int32([2]), dtype="fp32"
    )
    program = lists.program(lists.length(made), lists.gather(made, [1, 2]))
    for n in (3, 7):
        length, elements = program.run({"n": np.array(n, np.int32)}).values()
        assert length == n
        np.testing.assert_array_equal(elements, np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"\(make_list\): the list would have -1 elements"):
        program.run({"n": np.array(-1, np.int32)})


@pytest.mark.clause("mil.make_list.C2", "mil.list_read.C2")
def test_lists_may_begin_without_elements() -> None:
    lists = Lists("fp32", 2, init_length=0)
    full = lists.write(lists.made, 1, np.float32([1, 2]))
    same(lists.run(lists.length(lists.made), lists.gather(full, [0, 1])), 0, [[0, 0], [1, 2]])
    lists = Lists("fp32", 2, init_length=0)
    with pytest.raises(InputError, match=r"the index 0 is out of range for a list of 0 elements: expected none"):
        lists.run(lists.read(lists.made, 0))


@pytest.mark.parametrize("elem_shape", [..., "names"])
@pytest.mark.clause("mil.make_list.S3")
def test_the_first_element_says_lengths_that_are_unknown(elem_shape: Any) -> None:
    given = {} if elem_shape == "names" else {"elem_shape": ...}
    lists = Lists("fp32", None, 3, inputs={"x": (None, 3)}, **given)
    one = lists.write(lists.made, 2, lists.builder["x"])
    program = lists.program(lists.gather(one, [0, 2]), lists.read(one, 1))
    for rows in (2, 4):
        x = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
        found = list(program.run({"x": x}).values())
        same(found, np.stack([0 * x, x]), 0 * x)


@pytest.mark.clause("mil.make_list.S3")
def test_what_no_element_has_said_cannot_be_read() -> None:
    lists = Lists("fp32", None, 3, init_length=2)
    read = lists.read(lists.made, 1)
    with pytest.raises(InputError, match=r"element 1 was not written, and of .* only tensor<fp32, \[\?, 3\]> is known"):
        lists.run(read)


@pytest.mark.clause("mil.list_length.S1")
def test_appending_in_a_loop() -> None:
    """[1, 2] * i for each i below n, in a list that begins with one element."""
    lists = Lists("fp32", 2, inputs={"n": ("int32", ()), "x": (2,)})
    builder = lists.builder

    def body(i: Result, ls: Result) -> list[Result]:
        element = builder.add("mul", x=builder["x"], y=builder.add("cast", x=i, dtype="fp32"))
        return [builder.add("add", x=i, y=1), lists.write(ls, i, element)]

    _, full = builder.add(
        "while_loop",
        loop_vars=[builder.constant(np.int32(0)), lists.made],
        blocks=[lambda i, ls: builder.add("less", x=i, y=builder["n"]), body],
    )
    length = lists.length(full)
    places = builder.add("range_1d", outputs=[("int32", (None,))], start=0, end=length, step=1)
    y = lists.gather(full, places)
    program = lists.program(y)
    for n in (1, 3, 50):
        x = np.float32([1, 2])
        found = program.run({"n": np.array(n, np.int32), "x": x})[y.name]
        np.testing.assert_array_equal(found, np.arange(n)[:, None] * x)


def test_lists_that_branches_return() -> None:
    lists = Lists("fp32", 2, inputs={"pred": ("bool", ())}, init_length=2)
    chosen = lists.builder.add(
        "cond",
        outputs=[lists.type],
        pred=lists.builder["pred"],
        blocks=[lambda: lists.write(lists.made, 5, np.float32([1, 2])), lambda: lists.made],
    )
    program = lists.program(lists.length(chosen))
    for pred, length in ((True, 6), (False, 2)):
        assert list(program.run({"pred": np.array(pred)}).values()) == [length]


# ---- What does not fit ----


@pytest.mark.parametrize("index", [-1, 3, 2**31 - 1])
@pytest.mark.clause(
    "mil.make_list.S2", "mil.list_write.C2", "mil.list_scatter.C2", "mil.list_read.C2", "mil.list_gather.C2"
)
def test_indices_out_of_range(index: int) -> None:
    words = rf"the index {index} is out of range for a list of 3 elements: expected 0 to 2"
    for build in (
        lambda lists: lists.read(lists.made, index),
        lambda lists: lists.gather(lists.made, [0, index]),
        lambda lists: lists.write(lists.made, index, np.float32([1, 2])),
        lambda lists: lists.scatter(lists.made, [index], np.float32([[1, 2]])),
    ):
        lists = Lists("fp32", 2, init_length=3, dynamic_length=False)
        made = build(lists)
        with pytest.raises(InputError, match=rf"\(list_\w+\).*{words}"):
            lists.run(lists.length(made) if isinstance(made.type, DeclaredList) else made)


@pytest.mark.clause("mil.list_write.C2", "mil.list_scatter.C2")
def test_negative_indices_do_not_count_from_the_end() -> None:
    lists = Lists("fp32", 2, init_length=3)
    written = lists.length(lists.write(lists.made, -1, np.float32([1, 2])))
    with pytest.raises(InputError, match=r"the index -1 is out of range .*: expected 0 or more"):
        lists.run(written)

    lists = Lists("fp32", 2, init_length=3)
    scattered = lists.length(lists.scatter(lists.made, [0, -1], np.float32([[1, 2], [3, 4]])))
    with pytest.raises(InputError, match=r"the index -1 is out of range .*: expected 0 or more"):
        lists.run(scattered)


def test_lists_that_grow_too_large_are_refused_before_they_are_made() -> None:
    lists = Lists("fp32", 1000, inputs={"i": ("int32", ())})
    program = lists.program(
        lists.length(lists.write(lists.made, lists.builder["i"], np.zeros(1000, np.float32))),
        budget=Budget(Limits(memory=10_000_000)),
    )
    assert list(program.run({"i": np.array(99, np.int32)}).values()) == [100]
    for index in (10_000, 2**31 - 1):
        with pytest.raises((LimitError, InputError), match=r"list_write"):
            program.run({"i": np.array(index, np.int32)})


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda ls: ls.write(ls.made, 0, np.float32([1, 2, 3])), r"'value' has elements of float32 \(3,\), but"),
        (lambda ls: ls.write(ls.made, 0, np.int32([1, 2])), "'value' has elements of int32"),
        (lambda ls: ls.write(ls.made, np.float32(0), np.float32([1, 2])), "'index' has elements of type fp32"),
        (lambda ls: ls.write(ls.made, np.int32([0, 1]), np.float32([1, 2])), r"'index' has the shape \(2,\)"),
        (lambda ls: ls.scatter(ls.made, [0, 1], np.float32([[1, 2]])), r"expected \(n, ...\) and \(n,\)"),
        (lambda ls: ls.scatter(ls.made, [0], np.float32([[1, 2, 3]])), r"'value' has elements of float32 \(3,\)"),
        (lambda ls: ls.read(ls.builder.constant(np.float32([1, 2])), 0), "'ls' is of type tensor<fp32, "),
        (lambda ls: ls.gather(ls.made, np.int32(1)), r"'indices' has the shape \(\), expected a vector"),
        (lambda ls: ls.gather(ls.made, np.float32([1])), "'indices' has elements of type fp32, expected int32"),
        (lambda ls: ls.scatter(ls.made, np.float32([0]), np.float32([[1, 2]])), "'indices' has elements of type fp32"),
        (lambda ls: ls.read(ls.made, np.float32(1)), "'index' has elements of type fp32, expected int32"),
        (lambda ls: ls.read(ls.made, np.int32([0, 1])), r"'index' has the shape \(2,\), expected one number"),
        *(
            (lambda ls, use=use: use(ls, ls.builder.constant(np.float32([1, 2]))), "'ls' is of type tensor<fp32, ")
            for use in (
                lambda ls, x: ls.write(x, 0, np.float32([1, 2])),
                lambda ls, x: ls.scatter(x, [0], np.float32([[1, 2]])),
                lambda ls, x: ls.gather(x, [0]),
                lambda ls, x: ls.length(x),
            )
        ),
    ],
)  # fmt: skip
@pytest.mark.clause(
    "mil.list_write.C1", "mil.list_scatter.C1", "mil.list_read.C1", "mil.list_gather.C1", "mil.list_length.C1"
)
def test_types_must_fit(build: Any, words: str) -> None:
    lists = Lists("fp32", 2, init_length=3)
    made = build(lists)
    with pytest.raises(InvalidModelError, match=words):
        lists.run(lists.length(made) if isinstance(made.type, DeclaredList) else made)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ({"elem_shape": np.int32([1, 2, 3, 4, 5])}, "expected at most 4 lengths"),
        ({"elem_shape": np.int32([2, 0])}, "lengths of 1 or more"),
        ({"dtype": "int8"}, "'dtype' is 'int8', expected one of"),
        ({"init_length": np.float32(2)}, "'init_length' is of type tensor<fp32"),
        ({"init_length": np.int32([2, 3])}, r"'init_length' is of type tensor<int32, \[2\]>, expected an integer"),
        ({"elem_shape": np.float32([2])}, "'elem_shape' holds 2.0, expected lengths, or names"),
    ],
)
@pytest.mark.clause("mil.make_list.C1", "mil.make_list.C2")
def test_make_list_refuses(make: Any, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        Lists("fp32", 2, **make)


def test_lists_must_be_as_declared() -> None:
    lists = Lists("fp32", 2)
    lists.type = list_type("fp32", 3)
    written = lists.length(lists.write(lists.made, 0, np.float32([1, 2])))
    with pytest.raises(
        InvalidModelError, match=r"computes list of 1 x tensor<fp32, \[2\]>.*list<tensor<fp32, \[3\]>, 1>"
    ):
        lists.run(written)


@pytest.mark.clause("mil.make_list.S3")
def test_names_of_unknown_lengths_may_be_a_list_of_texts() -> None:
    builder = Builder({"x": (2,)})
    made = builder.add("make_list", elem_shape=["rows"], outputs=[list_type("fp32", None)])
    written = builder.add("list_write", ls=made, index=np.int32(0), value=builder["x"], outputs=[made.type])
    builder.output(builder.add("list_read", ls=written, index=np.int32(0), outputs=[("fp32", (None,))], name="y"))
    np.testing.assert_array_equal(builder.model().predict({"x": [3, 4]})["y"], [3, 4])


# ---- coremltools ----


def test_what_coremltools_writes() -> None:
    """It declares lists that grow with their first length, leaves out what does not change, and names inputs alike."""
    tools = pytest.importorskip("coremltools", reason="coremltools writes the program")
    mil = pytest.importorskip("coremltools.converters.mil")

    def build(n: Any, x: Any) -> Any:
        builder = mil.Builder
        made = builder.make_list(init_length=1, elem_shape=(2,))
        unknown = builder.list_write(ls=builder.make_list(elem_shape=("rows",)), index=3, value=x)
        _, full = builder.while_loop(
            _cond=lambda i, ls: builder.less(x=builder.cast(x=i, dtype="fp32"), y=n),
            _body=lambda i, ls: (
                builder.add(x=i, y=1),
                builder.list_write(ls=ls, index=i, value=builder.mul(x=x, y=builder.cast(x=i, dtype="fp32"))),
            ),
            loop_vars=(0, made),
        )
        places = builder.range_1d(start=0, end=builder.list_length(ls=full), step=1)
        return builder.list_gather(ls=full, indices=places), builder.list_gather(ls=unknown, indices=[0, 3])

    specs = [mil.Builder.TensorSpec((1,)), mil.Builder.TensorSpec((2,))]
    program = mil.Builder.program(input_specs=specs, opset_version=tools.target.iOS15)(build)
    model = tools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=tools.target.iOS15,
        compute_precision=tools.precision.FLOAT32,
        skip_model_load=True,
    )
    message = schema.MILSpec.Program()
    message.ParseFromString(model.get_spec().mlProgram.SerializeToString())
    found = Program(message, "main").run({"n": np.float32([3]), "x": np.float32([1, 2])})
    same(list(found.values()), [[0, 0], [1, 2], [2, 4]], [[0, 0], [1, 2]])
