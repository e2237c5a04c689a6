"""The actor of the drill: most of its jobs succeed, some die of two causes, a few take their worker along.

Run as ``dramatiq drilling.actors``. While the file that DRILL_MIRROR_DOWN names exists, one of the causes holds.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import dramatiq

from broker import broker, settings
from leasequeue import PermanentError

from .plan import DEADLY, UNREACHABLE, UNREADABLE


def mirror_down() -> Path:
    """The file that says that the mirror is down."""
    return Path(os.environ["DRILL_MIRROR_DOWN"])


@dramatiq.actor(broker=broker, actor_name="mirror", queue_name=settings.queue_name)
def mirror(number: int) -> None:
    """Read something from a mirror."""
    if number in UNREACHABLE and mirror_down().exists():
        raise ConnectionError(f"cannot reach mirror {number % 7}.example.org: connection refused")
    if number in UNREADABLE:
        raise PermanentError(f"object {number:040x} is no UTF-8 text")
    if number in DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
