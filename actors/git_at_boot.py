"""A worker without git would fail every job in turn, each after its retries: it does not start instead."""

from __future__ import annotations

from typing import Any

from dramatiq.middleware import Middleware

from indexing import git
from indexing.errors import GitUnavailable
from leasequeue.middleware import BootFailed


class GitAtBoot(Middleware):
    """Has dramatiq end with exit code 3 and one line when there is no git, or too old a one."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            git.check_version()
        except GitUnavailable as error:
            raise BootFailed(f"The worker cannot start: {error}") from error
