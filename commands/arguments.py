"""What a job was sent with."""

from __future__ import annotations

import json
from typing import Any

#: Characters of arguments that fit into a line.
SHOWN = 60


def arguments(args: Any, kwargs: Any, limit: int = SHOWN) -> str:
    """What a job was sent with, in a line: ``1, "a", key="b"``."""
    positional = [json.dumps(each) for each in args] if isinstance(args, list) else []
    named = [f"{name}={json.dumps(value)}" for name, value in kwargs.items()] if isinstance(kwargs, dict) else []
    line = ", ".join(positional + named)
    return line if len(line) <= limit else line[: limit - 3] + "..."
