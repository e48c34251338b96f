"""Sharing work among threads: every item once, errors passed on, nothing waits for itself, BLAS as it was."""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any

import numpy as np
import pytest
from support import integers

from refcoreml.kernels import threads
from refcoreml.kernels.threads import for_each, thread_count


@pytest.fixture(autouse=True)
def _blas_is_left_as_it_was() -> Any:
    before = thread_count()
    yield
    assert thread_count() == before


def test_every_item_is_worked_on_once() -> None:
    seen: list[int] = []
    for_each(seen.append, range(100))
    assert sorted(seen) == list(range(100))
    for_each(seen.append, [])
    assert len(seen) == 100


def test_several_callers_with_calls_inside_calls() -> None:
    a, b = integers((40, 50)), integers((50, 30))
    results: dict[tuple[int, int], Any] = {}

    def outer(i: int) -> None:
        assert thread_count() == 1
        for_each(lambda j: results.update({(i, j): a @ b}), range(3))

    callers = [threading.Thread(target=for_each, args=(outer, range(k, k + 5))) for k in (0, 5, 10)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert sorted(results) == list(itertools.product(range(15), range(3)))
    for result in results.values():
        np.testing.assert_array_equal(result, a @ b)


def test_an_error_reaches_the_caller_and_stops_the_rest() -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ValueError("from an item")

    with pytest.raises(ValueError, match="from an item"):
        for_each(fail, range(1000))
    assert len(begun) <= max(thread_count(), 1)


def test_threads_see_the_callers_error_state() -> None:
    def divide(_: int) -> None:
        np.ones(1000) / np.zeros(1000)

    with np.errstate(all="ignore"):
        for_each(divide, range(10))
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        for_each(divide, range(10))


def test_the_environment_sets_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    available = threads._blas.count
    monkeypatch.setenv("REFCOREML_THREADS", "7")
    assert thread_count() == (7 if available > 1 else 1)
    for nonsense in ("", "0", "-1", "many"):
        monkeypatch.setenv("REFCOREML_THREADS", nonsense)
        assert thread_count() == available
    monkeypatch.undo()


@pytest.mark.parametrize(("lost", "single"), [(0.0, False), (9e-4, False), (2e-3, True)])
def test_products_take_one_thread_where_processors_are_busy(
    lost: float, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REFCOREML_THREADS", raising=False)
    monkeypatch.setattr(threads._Blas, "count", 2)
    monkeypatch.setattr(threads, "_PAUSE", 0.0)
    monkeypatch.setattr(threads, "_lost_time", lambda seconds: lost)
    choice = threads._ProductThreads()
    assert choice.single == single
    monkeypatch.setattr(threads, "_lost_time", lambda seconds: 1 - lost)
    assert choice.single == single, "a process chooses once, so that its products keep their last bits"


def test_threads_that_go_to_sleep_are_no_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFCOREML_THREADS", raising=False)
    monkeypatch.setattr(threads._Blas, "count", 2)
    monkeypatch.setattr(threads, "_PAUSE", 0.0)
    lost = iter([5e-3, 4e-3, 0.0])
    monkeypatch.setattr(threads, "_lost_time", lambda seconds: next(lost))
    assert not threads._ProductThreads().single
    assert next(lost, None) is None


@pytest.mark.skipif(os.name == "nt", reason="clocks of threads are too coarse on Windows, nothing is measured there")
@pytest.mark.parametrize(
    ("own", "everyone", "lost"),
    [(0.6, 1.2, 0.4), (1.0, 1.3, 0.0), (0.5, 2.0, 0.0)],
    ids=["other programs take turns", "nobody else runs", "threads of this process fill both processors"],
)
def test_lost_time_is_what_other_programs_take(
    own: float, everyone: float, lost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = itertools.count()  # a second a look

    class Clock:
        perf_counter = staticmethod(lambda: float(next(wall)))
        thread_time = staticmethod(iter([0.0, 3 * own]).__next__)
        process_time = staticmethod(iter([0.0, 3 * everyone]).__next__)

    monkeypatch.setattr(threads, "time", Clock)
    monkeypatch.setattr(threads, "_processors", lambda: 2)
    assert threads._lost_time(1.5) == pytest.approx(3 * lost)


@pytest.mark.parametrize(("wanted", "single"), [("1", True), ("2", False)])
def test_the_environment_chooses_for_products(wanted: str, single: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFCOREML_THREADS", wanted)
    monkeypatch.setattr(threads._Blas, "count", 2)
    monkeypatch.setattr(threads, "_lost_time", lambda seconds: pytest.fail("the environment has decided"))
    assert threads._ProductThreads().single == single


@pytest.mark.parametrize("single", [True, False])
def test_products_are_those_of_numpy(single: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = integers((3, 70, 50), 1).astype(np.float32), integers((50, 90), 2).astype(np.float32)
    seen = []

    class Choice:
        @property
        def single(self) -> bool:
            seen.append(threads._blas.count)
            return single

    monkeypatch.setattr(threads, "_product_threads", Choice())
    out = np.empty((3, 70, 90), np.float32)
    assert threads.matmul(a, b, out=out) is out
    np.testing.assert_array_equal(out, np.einsum("bij,jk->bik", a, b))
    np.testing.assert_array_equal(threads.matmul(a, b), out)
    assert len(seen) == 2


def test_an_unknown_blas_means_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_openblas", lambda: None)
    monkeypatch.setattr(threads, "_blas", threads._Blas())
    assert thread_count() == 1
    seen: list[int] = []
    for_each(lambda item: seen.append(threading.get_ident()), range(5))
    assert set(seen) == {threading.get_ident()}
    monkeypatch.undo()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_threads_of_its_own() -> None:
    for_each(lambda item: None, range(10))
    child = os.fork()
    if not child:
        seen: list[int] = []
        for_each(seen.append, range(10))
        os._exit(len(seen))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
