"""Actors on the product's own broker, run by real ``dramatiq health_actors`` processes."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import dramatiq
from waiting import wait_until

from broker import broker, settings
from leasequeue import Slots

#: While this file exists, a claim loop that asks for a slot gets no answer.
HANG = Path(os.environ.get("HEALTH_TEST_HANG", "/nowhere"))

#: Seconds beyond any test's end.
HANG_SECONDS = 600.0


class HangingSlots(Slots):
    """As a lock file on a network drive whose server is gone."""

    def acquire(self, wanted: int) -> int:
        wait_until(lambda: not HANG.exists(), HANG_SECONDS, "the hang to be over")
        return wanted


broker._slots = HangingSlots()


@dramatiq.actor(broker=broker, queue_name=settings.queue_name)
def work(seconds: float) -> None:
    """Take a while, in small steps that can be interrupted."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pause.wait(0.02)


@dramatiq.actor(broker=broker, queue_name=settings.queue_name)
def burn(seconds: float) -> None:
    """Use the processor."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


@dramatiq.actor(broker=broker, queue_name=settings.queue_name)
def talk(repository_id: str, url: str) -> None:
    """Say what nobody should say, and fail with it."""
    logging.getLogger("talkative").warning("cloning https://x-access-token:s3cr3t@git.example/a/b of %s", url)
    raise RuntimeError(f"fatal: could not read from https://u:s3cr3t@git.example/a/b, nor from {url}")
