"""Termination of a worker process: at once for claims, once for everything else, and also when nobody sends a signal.

dramatiq looks for its own flag once a second, and kills itself at a second signal. But a second one is common: a
supervisor signals the whole process group, and dramatiq's master forwards its own to each worker. And a master that was
killed forwards nothing: its workers would go on beside those of the next one, with nobody to stop them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

log = logging.getLogger("leasequeue.signals")

#: What ends a worker: a stop, or a reload.
TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

#: Seconds between two looks at whether the master lives.
PARENT_LOOK_SECONDS = 1.0

#: Seconds beyond the drain that a worker without a master gets to write what is left and leave. What then still is not
#: over does not end: a master that dies while a worker tells it that it is up takes the lock for that along.
LEAVE_MARGIN = 10.0


def drain_on_termination(stop_claiming: Callable[[], None], *, drain: float) -> None:
    """Call ``stop_claiming`` at the first signal, before dramatiq's own handler, and let later ones pass unheard.

    Only in worker processes of dramatiq's command line: elsewhere signals belong to the application. ``drain``: seconds
    that running jobs get.
    """
    if multiprocessing.parent_process() is None or threading.current_thread() is not threading.main_thread():
        return
    heard = False
    for number in TERMINATING:
        previous = signal.getsignal(number)
        if not callable(previous):
            continue

        def handle(signum: int, frame: FrameType | None, previous: Callable[..., object] = previous) -> None:
            nonlocal heard
            if heard:
                log.info("signal_ignored signal=%d: already draining", signum)
                return
            heard = True
            stop_claiming()
            previous(signum, frame)

        signal.signal(number, handle)
    watching = (os.getppid(), stop_claiming, drain + LEAVE_MARGIN)
    threading.Thread(target=_outlive_nobody, args=watching, name="leasequeue master", daemon=True).start()


def _outlive_nobody(master: int, stop_claiming: Callable[[], None], leave_within: float) -> None:
    """Terminate this process when its master is gone; multiprocessing's sentinel does not tell, siblings hold it."""
    pause = threading.Event()
    while os.getppid() == master:
        pause.wait(PARENT_LOOK_SECONDS)
    last = threading.Timer(leave_within, os._exit, [1])
    last.daemon = True
    last.start()
    # Signals are heard by the main thread, which may never hear anything again.
    stop_claiming()
    os.kill(os.getpid(), signal.SIGTERM)
    # Behind everything else: nobody reads the pipe of the log any more, and a full one holds up whoever writes.
    log.warning("master_gone pid=%d: this worker drains and leaves", master)
