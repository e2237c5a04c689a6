"""A connection to a migrated database, and small repositories to index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from git_repositories import Repository
from index_database import Index


@pytest.fixture
def index(database: str) -> Iterator[Index]:
    connection = psycopg2.connect(database)
    yield Index(database, connection)
    connection.close()


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[..., Repository]:
    """``make_repository({path: content}, name="repository")``."""

    def make(files: dict[str, bytes | str] | None = None, name: str = "repository", **options: Any) -> Repository:
        return Repository.make(tmp_path / name, files, **options)

    return make
