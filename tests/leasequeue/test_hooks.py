"""Signals reach the middleware that listens, in dramatiq's order, and errors do what dramatiq says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dramatiq.middleware import Middleware, SkipMessage

from leasequeue import LeaseBroker


class Listener(Middleware):
    def __init__(self, name: str, heard: list[str]) -> None:
        self.name, self.heard = name, heard

    def before_enqueue(self, broker: object, message: object, delay: object) -> None:
        self.heard.append(f"before {self.name}")

    def after_enqueue(self, broker: object, message: object, delay: object) -> None:
        self.heard.append(f"after {self.name}")


class Refuser(Middleware):
    def before_enqueue(self, broker: object, message: object, delay: object) -> None:
        raise SkipMessage("refused")


class Broken(Middleware):
    def before_enqueue(self, broker: object, message: object, delay: object) -> None:
        raise ValueError("a defect")

    after_enqueue = before_enqueue


def signal(broker: LeaseBroker) -> None:
    broker.emit_before("enqueue", None, None)
    broker.emit_after("enqueue", None, None)


def test_before_goes_down_the_list_and_after_comes_up_again(make_broker: Callable[..., LeaseBroker]) -> None:
    heard: list[str] = []
    broker = make_broker(middleware=[Listener("first", heard), Middleware(), Listener("second", heard)])
    signal(broker)
    assert heard == ["before first", "before second", "after second", "after first"]


def test_middleware_that_is_added_or_put_into_the_list_later_is_heard_too(
    make_broker: Callable[..., LeaseBroker],
) -> None:
    heard: list[str] = []
    broker = make_broker(middleware=[Listener("first", heard)])
    signal(broker)
    broker.add_middleware(Listener("second", heard))  # type: ignore[no-untyped-call]
    broker.middleware.insert(0, Listener("zeroth", heard))
    heard.clear()
    signal(broker)
    assert heard == [f"before {n}" for n in ("zeroth", "first", "second")] + [
        f"after {n}" for n in ("second", "first", "zeroth")
    ]


def test_a_defect_is_logged_and_the_others_are_called(
    make_broker: Callable[..., LeaseBroker], caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    broker = make_broker(middleware=[Broken(), Listener("other", heard)])
    signal(broker)
    assert heard == ["before other", "after other"]
    assert caplog.text.count("middleware_failed hook=") == 2


def test_a_middleware_error_ends_the_signal(make_broker: Callable[..., LeaseBroker]) -> None:
    heard: list[str] = []
    broker = make_broker(middleware=[Refuser(), Listener("other", heard)])
    with pytest.raises(SkipMessage):
        broker.emit_before("enqueue", None, None)
    assert heard == []
