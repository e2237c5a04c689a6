"""What many threads bring at the same moment goes together, and nobody is forgotten or made to wait for company."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import dramatiq
import pytest
from sql_access import Sql
from waiting import wait_until

from leasequeue import LeaseBroker, MessageRefused
from leasequeue.grouping import GroupFailed, Grouping, TookTooLong


class Gate:
    """Work that waits for permission, and remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = threading.Event()

    def __call__(self, items: list[int]) -> None:
        self.calls.append(items)
        assert self.open.wait(10)
        if -1 in items:
            raise ValueError("one of them was bad")


def bring_in_threads(grouping: Grouping[int], items: range) -> list[threading.Thread]:
    threads = [threading.Thread(target=grouping.bring, args=(item, 10)) for item in items]
    for thread in threads:
        thread.start()
    return threads


def test_who_comes_during_a_call_goes_with_the_next_one_together() -> None:
    gate = Gate()
    grouping = Grouping(gate, leaders=1)
    first = bring_in_threads(grouping, range(1))
    wait_until(lambda: gate.calls == [[0]])
    others = bring_in_threads(grouping, range(1, 8))
    wait_until(lambda: len(grouping._waiting) == 7)
    gate.open.set()
    for thread in first + others:
        thread.join(10)
    assert [len(call) for call in gate.calls] == [1, 7]
    assert sorted(gate.calls[1]) == list(range(1, 8))


@pytest.mark.parametrize("leaders", [1, 2, 3])
def test_a_thousand_items_of_twenty_threads_are_each_worked_on_once(leaders: int) -> None:
    seen: list[int] = []
    at_once = [0, 0]
    lock = threading.Lock()

    def work(items: list[int]) -> None:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        seen.extend(items)
        with lock:
            at_once[0] -= 1

    grouping = Grouping(work, leaders)

    def bring_fifty(first: int) -> None:
        for item in range(first, first + 50):
            grouping.bring(item, 10)

    threads = [threading.Thread(target=bring_fifty, args=(n * 50,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(seen) == list(range(1_000))
    assert at_once[1] <= leaders


def test_a_failure_is_told_to_each_thread_of_the_group_and_the_next_group_goes_on() -> None:
    gate = Gate()
    gate.open.set()
    grouping = Grouping(gate, leaders=1)
    with pytest.raises(GroupFailed) as failed:
        grouping.bring(-1, 1)
    assert isinstance(failed.value.__cause__, ValueError)
    grouping.bring(1, 1)


def test_who_waits_too_long_leaves_and_is_not_worked_on() -> None:
    gate = Gate()
    grouping = Grouping(gate, leaders=1)
    (first,) = bring_in_threads(grouping, range(1))
    wait_until(lambda: gate.calls == [[0]])
    started = time.monotonic()
    with pytest.raises(TookTooLong) as late:
        grouping.bring(1, 0.1)
    assert not late.value.begun
    assert time.monotonic() - started < 5
    gate.open.set()
    first.join(10)
    assert gate.calls == [[0]]


def test_one_bad_message_of_many_threads_fails_alone(make_broker: Callable[..., LeaseBroker], sql: Sql) -> None:
    broker = make_broker(sender_sessions=1)
    refused: list[object] = []

    def send(value: str) -> None:
        try:
            broker.enqueue(dramatiq.Message("default", "take", (value,), {}, {}))
        except MessageRefused as error:
            refused.append(error)

    threads = [threading.Thread(target=send, args=("a\x00b" if n % 10 == 0 else "good",)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(refused) == 6
    assert sql("SELECT count(*), count(DISTINCT message_id) FROM dramatiq.queue") == [(54, 54)]
