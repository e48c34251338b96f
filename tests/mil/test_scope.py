"""Names of values."""

from __future__ import annotations

import time

from refcoreml.mil.scope import Names, Scope


def test_names_are_given_once() -> None:
    names = Names("_")
    assert [names.unique(name) for name in ("y", "x", "y", "y_2", "y", "y_1", "x")] == [
        "y",
        "x",
        "y_1",
        "y_2",
        "y_3",
        "y_1_1",
        "x_1",
    ]
    assert len(names) == 7


def test_scopes_inside_of_one_another_share_their_names() -> None:
    outer = Scope()
    assert [scope.unique("x") for scope in (outer, outer.inner(), outer.inner().inner())] == ["x", "x#1", "x#2"]


def test_many_values_of_one_name_take_no_longer() -> None:
    scope, started = Scope(), time.process_time()
    assert len({scope.unique("x") for _ in range(30_000)}) == 30_000
    assert time.process_time() - started < 2
