"""Interrupting a running job from another thread: that job and nothing else that its thread does."""

from __future__ import annotations

import ctypes
import threading

from dramatiq.middleware import Interrupt, raise_thread_exception

from .lease import Lease

#: Held while an exception is being set, and while a run says that it is over: none is set behind that.
_deciding = threading.Lock()


def interrupt(lease: Lease, kind: type[Interrupt]) -> bool:
    """Raise ``kind`` in the thread that runs the job, as soon as it runs Python code. False: the run is over."""
    with _deciding:
        if lease.thread_id is None or lease.outcome is not None:
            return False
        lease.interrupted = True
        raise_thread_exception(lease.thread_id, kind)
        return True


def run_is_over(lease: Lease) -> None:
    """Called by the thread itself behind the actor: an exception that has not arrived by now never will."""
    with _deciding:
        thread_id, lease.thread_id = lease.thread_id, None
    if lease.interrupted and thread_id is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), None)
