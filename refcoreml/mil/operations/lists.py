"""Lists of tensors. An operation that writes returns another list; the one that it takes stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import VALUES, expect
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.mil.values import ListType, ListValue
from refcoreml.ops.base import bad_input, invalid, require
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredList, DeclaredTensor
from refcoreml.types import Array, Shape, TensorType, ValueType

#: The most axes that an element may have: several together are a tensor with one more.
_MOST_AXES = 4


# ---- Operations (`Any` stands for a list or its type, which `ops.Op` does not know) ----


@dataclass(frozen=True)
class MakeList(ops.Op):
    """A list of zeros.

    Attributes:
        element: the type of its elements, as it is declared.
        grows: whether it may become longer.
        held: the type of the arrays that hold elements.
        length: how many there are; None for an input that says it.
    """

    element: DeclaredTensor
    grows: bool
    held: np.dtype[Any]
    length: int | None = None

    def infer(self, *length: TensorType) -> Any:
        """Return the type, if the length is known."""
        for given in length:
            _check_single(given, "init_length")
        return None if self.length is None else ListType(self.element, self.length, self.grows)

    def infer_from(self, *length: Array) -> Any:
        """Return the type."""
        return ListType(self.element, self._length(*length), self.grows)

    def run(self, *length: Array) -> Any:
        """Return the list."""
        return ListValue(self.element, self.grows, self.held, (None,) * self._length(*length))

    def _length(self, *length: Array) -> int:
        found = self.length if self.length is not None else length[0].reshape(-1)[0]
        if found < 0:
            bad_input(f"the list would have {found} elements")
        return int(found)


class _Write(ops.Op):
    """Writes elements into a list."""

    def infer(self, ls: ValueType, indices: TensorType, value: TensorType) -> Any:
        """Return the type of a list of fixed length; of others it depends on the index."""
        found = _list(ls)
        element = _narrowed(found, self._element(indices, value))
        return None if found.grows else replace(found, element=element)

    def infer_from(self, ls: ListValue, indices: Array, value: Array) -> Any:
        """Return the type."""
        before = ls.type
        places = _places(ls, indices, writes=True)
        shape = self._element(TensorType.of(indices), TensorType.of(value)).shape
        length = max(before.length, 1 + max(places, default=-1))
        return replace(before, element=replace(before.element, shape=shape), length=length)

    def run(self, ls: ListValue, indices: Array, value: Array) -> Any:
        """Return the list with the elements written."""
        return ls.written(_places(ls, indices, writes=True), self._arrays(value))

    def _element(self, indices: TensorType, value: TensorType) -> TensorType:
        """Return the type of an element that is written."""
        raise NotImplementedError

    def _arrays(self, value: Array) -> Sequence[Array]:
        """Return the elements that are written."""
        raise NotImplementedError


@dataclass(frozen=True)
class ListWrite(_Write):
    """Writes an element."""

    def _element(self, indices: TensorType, value: TensorType) -> TensorType:
        _check_single(indices)
        return value

    def _arrays(self, value: Array) -> Sequence[Array]:
        return (value,)


@dataclass(frozen=True)
class ListScatter(_Write):
    """Writes several elements, which the first axis of a value counts."""

    def _element(self, indices: TensorType, value: TensorType) -> TensorType:
        fits = indices.rank == 1 and value.shape[:1] == indices.shape
        require(fits, f"'value' has the shape {value.shape}, 'indices' {indices.shape}: expected (n, ...) and (n,)")
        return value.with_shape(value.shape[1:])

    def _arrays(self, value: Array) -> Sequence[Array]:
        return list(value) if value.ndim > 1 else [value[i : i + 1].reshape(()) for i in range(len(value))]


@dataclass(frozen=True)
class ListRead(ops.Op):
    """An element of a list."""

    def infer(self, ls: ValueType, index: TensorType) -> TensorType | None:
        """Return the type of elements, if it is known."""
        _check_single(index)
        return _list(ls).element.tensor

    def run(self, ls: ListValue, index: Array) -> Array:
        """Return the element."""
        return ls.read(*_places(ls, index))


@dataclass(frozen=True)
class ListGather(ops.Op):
    """Elements of a list as one tensor."""

    fresh = True

    def infer(self, ls: ValueType, indices: TensorType) -> TensorType | None:
        """Return the type, if that of elements is known."""
        require(indices.rank == 1, f"'indices' has the shape {indices.shape}, expected a vector")
        element = _list(ls).element.tensor
        return None if element is None else element.with_shape((*indices.shape, *element.shape))

    def run(self, ls: ListValue, indices: Array) -> Array:
        """Return the tensor."""
        found = [ls.read(index) for index in _places(ls, indices)]
        shape: Shape = found[0].shape if found else ls.element.known_shape or ()
        y: Array = np.empty((len(found), *shape), ls.held)
        for place, array in enumerate(found):
            y[place] = array
        return y


@dataclass(frozen=True)
class ListLength(ops.Op):
    """How many elements a list has."""

    fresh = True

    def infer(self, ls: ValueType) -> TensorType:
        """Return the type."""
        _list(ls)
        return TensorType(np.dtype(np.int32), ())

    def run(self, ls: ListValue) -> Array:
        """Return the number."""
        return np.array(len(ls.elements), np.int32)


def _list(found: ValueType) -> ListType:
    if not isinstance(found, ListType):
        invalid(f"'ls' is {found}, expected a list")
    return found


def _check_single(number: TensorType, name: str = "index") -> None:
    require(number.shape in ((), (1,)), f"{name!r} has the shape {number.shape}, expected one number")


def _narrowed(found: ListType, element: TensorType) -> DeclaredTensor:
    """Return the type of elements after one was written."""
    require(found.element.admits(element), f"'value' has elements of {element}, but the list is a {found}")
    return replace(found.element, shape=element.shape)


def _places(ls: ListValue, indices: Array, *, writes: bool = False) -> list[int]:
    """Return where in a list some indices are; it may have to grow for them."""
    found: list[int] = indices.reshape(-1).tolist()
    length, grows = len(ls.elements), writes and ls.grows
    for index in found:
        if index < 0 or (index >= length and not grows):
            expected = "0 or more" if grows else f"0 to {length - 1}" if length else "none, since the list is empty"
            bad_input(f"the index {index} is out of range for a list of {length} elements: expected {expected}")
    return found


# ---- Adapters ----


@operation("make_list", "init_length?")
def make_list(node: Node) -> ops.Op | Call:
    """y = a list of ``init_length`` (default 1) elements, all zeros, that are tensors of one type.

    ``elem_shape``: for each axis of an element its length, or a name in place of one that is unknown until the first
    element is written; at most 4. ``dtype``: fp16, fp32 (default), int32 or bool. ``dynamic_length`` (default true):
    whether writing beyond the end makes the list longer, or else is an error. init_length may be computed by a run.
    """
    names = dict(zip(VALUES, VALUES, strict=True))
    element = DATA_TYPES[node.choice("dtype", names, "fp32")]
    declared = DeclaredTensor(element, _element_shape(node))
    grows = node.flag("dynamic_length", True)
    if node.has("init_length") and not node.is_constant("init_length"):
        expect(node, ("int32",), "init_length")
        return MakeList(declared, grows, element.dtype)
    return Call(MakeList(declared, grows, element.dtype, node.integer("init_length", 1)), ())


def _element_shape(node: Node) -> tuple[int | None, ...] | None:
    """Return the lengths of elements' axes, None for those that have names, and for all if nothing is said."""
    if "elem_shape" not in node.parameters:
        return None
    shape: list[int | None] = []
    for length in node.items("elem_shape"):
        fits = type(length) in (int, str)
        node.require(fits, f"parameter 'elem_shape' holds {length!r}, expected lengths, or names of unknown ones")
        shape.append(None if isinstance(length, str) else length)
    node.require(
        len(shape) <= _MOST_AXES and all(length is None or length > 0 for length in shape),
        f"parameter 'elem_shape' is {shape}, expected at most {_MOST_AXES} lengths of 1 or more",
    )
    return tuple(shape)


def _on_list(node: Node, op: ops.Op, index: str = "") -> ops.Op:
    declared = node.value("ls").type
    node.require(isinstance(declared, DeclaredList), f"parameter 'ls' is of type {declared}, expected a list")
    if index:
        expect(node, ("int32",), index)
    return op


@operation("list_write", "ls", "index", "value")
def list_write(node: Node) -> ops.Op:
    """y = the list ``ls`` with ``value`` at ``index``.

    A list that may grow becomes as long as that takes, with zeros in between. index: int32. value: of the list's
    elements' type; the first one says lengths that were unknown.
    Errors: an index below 0, or beyond the end of a list of fixed length.
    """
    return _on_list(node, ListWrite(), "index")


@operation("list_scatter", "ls", "indices", "value")
def list_scatter(node: Node) -> ops.Op:
    """y = the list ``ls`` with value[i] at indices[i]: see list_write.

    indices: int32 [n]. value: [n, ...]. Open: an index that is there twice. Chosen: the last one counts.
    """
    return _on_list(node, ListScatter(), "indices")


@operation("list_read", "ls", "index")
def list_read(node: Node) -> ops.Op:
    """y = the element of the list ``ls`` at ``index``, int32; zeros where none was written.

    Errors: an index that is negative or beyond the end; an element whose lengths are still unknown.
    """
    return _on_list(node, ListRead(), "index")


@operation("list_gather", "ls", "indices")
def list_gather(node: Node) -> ops.Op:
    """y[i] = the element of the list ``ls`` at indices[i]: see list_read. indices: int32 [n]. y: [n, ...]."""
    return _on_list(node, ListGather(), "indices")


@operation("list_length", "ls")
def list_length(node: Node) -> ops.Op:
    """y = how many elements the list ``ls`` has now, an int32 of rank 0."""
    return _on_list(node, ListLength())
