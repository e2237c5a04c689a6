"""What a worker does before it takes its first job of indexing."""

from __future__ import annotations

import logging
from typing import Any

from dramatiq.middleware import Middleware

from broker import settings
from indexing import forks, git
from indexing.errors import GitUnavailable, TransientIndexError
from indexing.queries import MIGRATIONS, SCHEMA
from leasequeue import DatabaseUnavailable, QueueError, migrations, pooling
from leasequeue.middleware import BootFailed
from leasequeue.queries import Queries

log = logging.getLogger("indexq.index_repo")


class ReadyToIndex(Middleware):
    """Has dramatiq end with exit code 3 and one line when there is no git, or too old a one, or when the tables of the
    index are not of this release and cannot be made so: such a worker would fail every job in turn, each after its
    retries. Starts the process that parsers are forked from."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            git.check_version()
            _migrate()
        except (GitUnavailable, DatabaseUnavailable, QueueError) as error:
            raise BootFailed(f"The worker cannot start: {error}") from error

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            forks.start()
        except TransientIndexError as error:
            # Each job tries again, and fails where somebody looks.
            log.warning("no_parsers_yet: %s", error)


def _migrate() -> None:
    """The same for the tables of the index as a worker does for those of its queue."""
    url = settings.supabase_db_url
    direct_url = settings.supabase_db_direct_url or None
    url = pooling.url_for_migrations(url, direct_url, Queries(settings.queue_schema), log)
    migrations.migrate(url, schema=SCHEMA, directory=MIGRATIONS)
