"""What ``POST /index`` takes, and in what words it refuses everything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexing import location
from indexing.errors import RepositoryRefused

#: Bytes of a body: two texts of the longest kind, with room to spare.
MAX_BODY_BYTES = 16_384

#: Characters of a repository's URL, and of what names a commit.
MAX_REPOSITORY, MAX_COMMIT = 2_000, 255

FIELDS = ("repository", "commit")


class BadOrder(Exception):
    """The body is none that can be carried out. ``status``: 400 for what is no JSON object, 422 for its values."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Order:
    """One repository to index, at one commit."""

    #: A URL or absolute path, in its one spelling.
    repository: str
    #: An id, branch or tag; None: the head of the default branch.
    commit: str | None

    @classmethod
    def read(cls, body: bytes, *, local_directories: Sequence[str]) -> Order:
        """The order in a body.

        Parameters:
          local_directories: where repositories of the workers' own machine may lie. None elsewhere are taken, since
            whoever may call an API must not learn by it what is on its disks.

        Raises:
          BadOrder: with what was expected, and what came instead.
        """
        values = _json_object(body)
        if unknown := sorted(set(values) - set(FIELDS)):
            raise BadOrder(f"expected the fields {' and '.join(FIELDS)} alone, got also: {', '.join(unknown)[:200]}")
        repository = _text(values, "repository", MAX_REPOSITORY)
        if repository is None:
            raise BadOrder('expected the field repository: {"repository": "https://HOST/PATH", "commit": "main"}')
        return cls(_place(repository, local_directories), _text(values, "commit", MAX_COMMIT))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise BadOrder("expected a body in JSON: an object with the field repository", 400) from None
    if not isinstance(values, dict):
        raise BadOrder(f"expected a JSON object with the field repository, got: {type(values).__name__}", 400)
    return values


def _text(values: dict[str, Any], field: str, longest: int) -> str | None:
    value = values.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > longest or not value.isprintable():
        raise BadOrder(f"expected {field} to be a text of 1 to {longest} printable characters")
    return value


def _place(repository: str, local_directories: Sequence[str]) -> str:
    try:
        place = location.parse(repository)
    except RepositoryRefused as error:
        raise BadOrder(str(error)) from None
    if place.kind == "local" and not any(Path(place.url).is_relative_to(each) for each in local_directories):
        raise BadOrder("expected an https:// or ssh:// URL; paths are taken below INDEX_LOCAL_DIRECTORIES alone")
    return place.url
