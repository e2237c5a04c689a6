"""A migrated database, with short ways to index into it and to look at what is visible in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg2

from indexing import jobs
from indexing.access import NO_ACCESS, Access
from indexing.limits import Limits
from indexing.report import IndexReport, Progress
from indexing.run import index_commit


@dataclass
class Index:
    """A migrated database, seen as its readers see it."""

    url: str
    connection: Any
    progress: list[Progress] = field(default_factory=list)
    #: Of the runs that are not given another.
    access: Access = NO_ACCESS

    def repository_id(self, url: str) -> str:
        with self.connection, self.connection.cursor() as cursor:
            return jobs.add_repository(cursor, url)

    def run(self, url: str, commit: str | None = None, **options: Any) -> IndexReport:
        """Index a commit as a job would."""
        limits = options.pop("limits", Limits(parse_processes=1))
        on_progress = options.pop("on_progress", self.progress.append)
        options.setdefault("access", self.access)
        repository_id = options.pop("repository_id", None) or self.repository_id(url)
        return index_commit(
            self.connection, url, repository_id, commit, limits=limits, on_progress=on_progress, **options
        )

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What another connection sees."""
        connection = psycopg2.connect(self.url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def skips(self) -> dict[str, str | None]:
        """Path -> skip reason of the current commits."""
        return dict(self.rows("SELECT path, skip_reason FROM indexing.files WHERE is_current"))

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that a run writes, without what is different for each row: ids and times."""
        return {
            "files": self.rows(
                "SELECT repository_id::text, commit_sha, is_current, path, blob_sha, size_bytes, language, lines,"
                " symbol_count, skip_reason FROM indexing.files ORDER BY 1, 2, 4"
            ),
            "symbols": self.rows(
                "SELECT repository_id::text, commit_sha, path, ordinal, name, kind, first_line, last_line, signature,"
                " parent FROM indexing.symbols_at_commit ORDER BY 1, 2, 3, 4"
            ),
            "blobs": self.rows("SELECT encode(oid, 'hex'), language FROM indexing.blobs ORDER BY 1, 2"),
            "counts": self.rows(
                "SELECT (SELECT count(*) FROM indexing.commits), (SELECT count(*) FROM indexing.symbols)"
            ),
        }
