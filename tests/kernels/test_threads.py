"""A range is worked exactly once, by as many threads as are asked for, and an error in any of them comes out."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.kernels import KernelError, threads


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_parts_are_contiguous_and_differ_by_one_at_most(total, count):
    parts = threads.cut(total, count)
    assert [i for first, stop in parts for i in range(first, stop)] == list(range(total))
    sizes = {stop - first for first, stop in parts}
    assert not sizes or (min(sizes) > 0 and max(sizes) - min(sizes) <= 1)
    assert len(parts) == min(total, count)


@pytest.mark.parametrize("total", [0, 1, 2, 7, 8, 1000])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_item_is_worked_exactly_once(total, count):
    worked = [0] * total

    def work(first, stop):
        for i in range(first, stop):
            worked[i] += 1

    threads.run(work, total, 1, count)
    assert worked == [1] * total


def test_several_threads_work_at_a_time():
    meeting = threading.Barrier(3)
    threads.run(lambda first, stop: meeting.wait(timeout=10), 3, 1, 3)
    assert not meeting.broken


def test_a_range_too_small_to_share_stays_with_the_caller():
    names = []
    threads.run(lambda first, stop: names.append((threading.current_thread(), first, stop)), 199, 100, 8)
    assert names == [(threading.current_thread(), 0, 199)]


def test_a_slow_thread_leaves_its_parts_to_the_others():
    done = []

    def work(first, stop):
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.2)
        done.append(threading.current_thread())

    threads.run(work, 8, 1, 2)
    assert len(done) == 8
    assert done.count(threading.main_thread()) < 4


@pytest.mark.parametrize("where", ["caller", "helper"])
@pytest.mark.parametrize("error", [IndexError, ValueError])
def test_an_error_of_any_thread_comes_out_when_all_have_stopped(where, error):
    working = set()
    both = threading.Barrier(2)

    def work(first, stop):
        working.add(first)
        if first < 2:
            both.wait(timeout=10)
        if (threading.current_thread() is threading.main_thread()) == (where == "caller"):
            raise error("no")
        time.sleep(0.01)
        working.discard(first)

    with pytest.raises(error, match="no"):
        threads.run(work, 8, 1, 2)
    assert len(working) == 1


def test_work_may_share_its_own_part():
    worked = [0] * 64

    def inner(first, stop):
        for i in range(first, stop):
            worked[i] += 1

    threads.run(
        lambda first, stop: threads.run(lambda a, b: inner(8 * first + a, 8 * first + b), 8 * (stop - first), 1, 2),
        8,
        1,
        2,
    )
    assert worked == [1] * 64


def test_the_environment_names_the_number(monkeypatch):
    monkeypatch.setenv(threads.THREADS_ENV, "7")
    assert threads.thread_count() == 7
    assert threads.thread_count(2) == 2
    monkeypatch.delenv(threads.THREADS_ENV)
    assert threads.thread_count() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("named", ["0", "-1", "two", "1.5", " 2", "²"])
def test_a_number_that_is_none_is_refused_with_the_remedy(monkeypatch, named):
    monkeypatch.setenv(threads.THREADS_ENV, named)
    with pytest.raises(KernelError, match=rf"BYZANTINY_THREADS={named}: .* or unset it"):
        threads.thread_count()


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(KernelError, match="0 threads: 1 is the least"):
        threads.thread_count(0)


def shared_in_a_child(meetings):
    threads.run(lambda first, stop: meetings.append(threading.get_ident()), 8, 1, 2)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    shared_in_a_child([])
    child = multiprocessing.get_context("fork").Process(target=shared_in_a_child, args=([],))
    child.start()
    child.join(20)
    assert child.exitcode == 0
