"""Names of values: which one a name means at its place, and one name for each while the program runs."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator

from refcoreml.errors import InvalidModelError
from refcoreml.mil.node import Value
from refcoreml.problems import LeftOutError


class Names:
    """Names in use, each once.

    Args:
        mark: what stands between a name that is in use already and the number that makes another one of it.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._used: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._used)

    def unique(self, name: str) -> str:
        """Return a name that was not in use and is from now on: the given one, or the given one with a number."""
        found, count = name, self._used.get(name, 0)
        while found in self._used:
            count += 1
            found = f"{name}{self._mark}{count}"
        self._used[name] = count  # where the next search begins
        self._used.setdefault(found, 0)
        return found


class Scope:
    """The values that a block sees: its own, and those of the blocks around it.

    Inner blocks may use a name of an outer one again; while the program runs each value has a name of its own.

    Attributes:
        lost: names of values that nothing is known of, since what makes them has a problem.
    """

    def __init__(
        self, values: ChainMap[str, Value] | None = None, names: Names | None = None, lost: set[str] | None = None
    ) -> None:
        self._values: ChainMap[str, Value] = ChainMap() if values is None else values
        self._names = Names("#") if names is None else names
        self.lost: set[str] = set() if lost is None else lost

    def inner(self) -> Scope:
        """Return the scope of a block inside."""
        return Scope(self._values.new_child(), self._names, self.lost)

    def unique(self, name: str) -> str:
        """Return a name that no value has yet; see `Names`."""
        return self._names.unique(name)

    def define(self, name: str, value: Value, where: str) -> None:
        """Add a value of this block."""
        if name in self._values.maps[0]:
            raise InvalidModelError(f"defines the value {name!r} a second time in its block", where=where)
        self._values[name] = value

    def lose(self, names: Iterable[str]) -> None:
        """Note names of values that nothing is known of."""
        self.lost.update(names)

    def find(self, name: str, where: str) -> Value:
        """Return the value that a name means here."""
        if name in self.lost:
            raise LeftOutError(f"uses {name!r}", where=where)
        try:
            return self._values[name]
        except KeyError:
            raise InvalidModelError(
                f"uses the value {name!r}, which nothing before it defines",
                where=where,
                remedy="Operations must stand after those whose results they use",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)
