"""What a job was sent with."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

#: Characters of arguments that fit into a line.
SHOWN = 60

#: The actor whose first argument is the id of a row in ``index_jobs``.
INDEXING_ACTOR = "index_repo"


def arguments(args: Any, kwargs: Any, limit: int = SHOWN) -> str:
    """What a job was sent with, in a line: ``1, "a", key="b"``."""
    positional = [json.dumps(each) for each in args] if isinstance(args, list) else []
    named = [f"{name}={json.dumps(value)}" for name, value in kwargs.items()] if isinstance(kwargs, dict) else []
    line = ", ".join(positional + named)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def index_job_of(actor_name: str | None, args: Any, kwargs: Any) -> str | None:
    """The id of the index job that a job is for; None when it is another kind of job."""
    if actor_name != INDEXING_ACTOR:
        return None
    given = kwargs.get("index_job_id") if isinstance(kwargs, dict) else None
    if given is None and isinstance(args, list) and args:
        given = args[0]
    try:
        return str(UUID(str(given)))
    except ValueError:
        return None
