"""What a worker does before it takes its first job of indexing."""

from __future__ import annotations

import logging
from typing import Any

from dramatiq.middleware import Middleware

from indexing import forks, git
from indexing.errors import GitUnavailable, TransientIndexError
from leasequeue.middleware import BootFailed

log = logging.getLogger("indexq.index_repo")


class ReadyToIndex(Middleware):
    """Has dramatiq end with exit code 3 and one line when there is no git, or too old a one, since such a worker would
    fail every job in turn, each after its retries. Starts the process that parsers are forked from."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            git.check_version()
        except GitUnavailable as error:
            raise BootFailed(f"The worker cannot start: {error}") from error

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            forks.start()
        except TransientIndexError as error:
            # Each job tries again, and fails where somebody looks.
            log.warning("no_parsers_yet: %s", error)
