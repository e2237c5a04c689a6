"""The application is told of deaths, and whatever it does then holds up nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dramatiq import Message, Worker
from sql_access import Sql
from waiting import wait_until

from leasequeue import Death, LeaseBroker, Policy, herald
from leasequeue.herald import Herald

from .test_leases import dead_worker

#: A heartbeat of a moment.
QUICK = Policy(heartbeat=0.2, lease=2, poll_interval=0.05)


def a_death(number: int = 1) -> Death:
    return Death(f"job {number}", "default", "expired", None)


def test_a_handler_that_hangs_delays_no_heartbeat(
    make_broker: Callable[..., LeaseBroker],
    start_worker: Callable[..., Worker],
    sql: Sql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leasequeue.session.TELL_WITHIN", 0.1)
    may_end, called = threading.Event(), threading.Event()
    broker = make_broker(policy=QUICK)

    def hang(death: Death) -> None:
        called.set()
        may_end.wait(30)

    broker.on_death = hang
    broker.declare_queue("default")
    broker.enqueue(Message("default", "killer", (), {}, {}))
    sql("UPDATE dramatiq.queue SET crashes = 2")
    dead_worker(sql, holding=1, silent_seconds=5, session_ended=False)
    start_worker(broker)
    assert called.wait(10)

    beats: set[Any] = set()

    def seen() -> int:
        beats.update(sql("SELECT max(heartbeat_at) FROM dramatiq.worker WHERE dead_at IS NULL"))
        return len(beats)

    wait_until(lambda: seen() >= 4, 10, "no heartbeats")
    may_end.set()


def test_the_end_waits_for_those_that_are_not_told_yet_but_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    may_end, told = threading.Event(), []

    def slow(death: Death) -> None:
        may_end.wait(30)
        told.append(death.message_id)

    teller = Herald(slow)
    teller.start()
    for number in range(3):
        teller.tell(a_death(number))
    teller.close(0.1)
    assert "deaths_untold count=3" in caplog.text
    may_end.set()
    teller.close(10)
    assert not teller.is_alive()
    assert told == ["job 0", "job 1", "job 2"]
    assert caplog.text.count("deaths_untold") == 1


def test_an_error_in_the_handler_is_logged_and_the_next_death_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def broken(death: Death) -> None:
        told.append(death.message_id)
        raise ValueError("a defect")

    teller = Herald(broken)
    teller.start()
    teller.tell(a_death(1))
    teller.tell(a_death(2))
    teller.close(10)
    assert told == ["job 1", "job 2"]
    assert caplog.text.count("on_death_failed") == 2


def test_those_beyond_the_bound_are_dropped_and_that_is_said_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(herald, "WAITING_LIMIT", 2)
    told: list[str] = []
    teller = Herald(lambda death: told.append(death.message_id))
    for number in range(5):
        teller.tell(a_death(number))
    teller.start()
    teller.close(10)
    assert told == ["job 0", "job 1"]
    assert caplog.text.count("deaths_untold") == 1
