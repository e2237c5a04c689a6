"""What the settings allow a run of ``index_repo``: how much it may take, and what it may reach."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from broker import settings
from indexing.access import Access
from indexing.limits import Limits

log = logging.getLogger("indexq.index_repo")


def limits_of_runs() -> Limits:
    """How much a run may take."""
    limits = Limits(
        max_file_bytes=settings.index_max_file_bytes,
        max_files=settings.index_max_files,
        fetch_timeout_seconds=settings.git_timeout,
    )
    if settings.index_parallelism is not None:
        limits = replace(limits, parse_processes=settings.index_parallelism)
    return limits


def access_of_runs() -> Access:
    """What a run may reach, and where it keeps what it fetched."""
    return Access(
        tokens=dict(each.split("=", 1) for each in settings.index_git_tokens),
        askpass=settings.index_askpass or None,
        allowed_hosts=settings.index_allowed_hosts,
        local_directories=settings.index_local_directories or ("/",),
        cache_directory=settings.index_cache_directory or _cache_at_home(),
        cache_bytes=settings.index_cache_bytes,
    )


def _cache_at_home() -> str | None:
    """Where a worker that was told nothing keeps what it fetched; None for a user who may write nowhere."""
    directory = Path(os.environ.get("HOME", "/")) / ".cache" / "indexq"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as trouble:
        log.warning("no_fetch_cache directory=%s: %s; set INDEX_CACHE_DIRECTORY", directory, trouble)
        return None
    return str(directory)
