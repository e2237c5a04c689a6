"""The type of the fixture ``sql``, with which tests look into and change their database behind everybody's back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: ``sql("SELECT ... %s", value)`` returns the rows; each call is committed.
Sql = Callable[..., list[tuple[Any, ...]]]
