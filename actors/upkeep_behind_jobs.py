"""Takes over names for fuzzy search, and removes what is old, behind the jobs: so none takes the time for it."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any

from dramatiq.middleware import Middleware

from broker import settings
from indexing import jobs, upkeep
from leasequeue import PermanentError

from .payloads import IndexRequest
from .sessions import opened_connection

log = logging.getLogger("indexq.upkeep")

#: Jobs that end within so many seconds are looked at together.
GATHER_SECONDS = 1.0

#: So often it looks for what others have left, in seconds: a worker that died, a database that was away.
LOOK_SECONDS = 60.0

#: How long a worker that ends waits for it. What is left then is rolled back, and the next worker's.
LEAVE_SECONDS = 2.0


class UpkeepBehindJobs(Middleware):
    """One thread in each worker process, with a session with the database while it has something to do."""

    def __init__(self) -> None:
        self._waiting = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        #: Of jobs that have ended.
        self._repositories: set[str] = set()

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        self._stopping.clear()
        # What a worker that died has left.
        self._waiting.set()
        self._thread = threading.Thread(target=self._run, name="indexq upkeep", daemon=True)
        self._thread.start()

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if message.actor_name == jobs.ACTOR:
            # One with other arguments has failed, and there is nothing behind it.
            with suppress(TypeError, PermanentError):
                self._repositories.add(IndexRequest.checked(*message.args, **message.kwargs).repository_id)
            self._waiting.set()

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._waiting.set()
            thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while True:
            self._waiting.wait(LOOK_SECONDS)
            if self._stopping.is_set():
                return
            self._waiting.clear()
            repositories = self._take_repositories()
            try:
                with opened_connection("indexq upkeep") as connection:
                    upkeep.tidy(connection, repositories, settings.index_keep_commits, self._check)
            except _Stopped:
                return
            except Exception as error:  # noqa: BLE001 whatever it was, it must not be the last try
                # The next one is behind the next job, or in a minute.
                self._repositories.update(repositories)
                log.warning("upkeep_left: %s", str(error).strip())
            self._stopping.wait(GATHER_SECONDS)

    def _take_repositories(self) -> list[str]:
        taken = list(self._repositories)
        self._repositories.difference_update(taken)
        return taken

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _Stopped


class _Stopped(Exception):
    """The worker ends."""
