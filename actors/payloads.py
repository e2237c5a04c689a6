"""What goes into the actors and what comes out, as types that JSON can carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from leasequeue import PermanentError


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """The payload of ``index_repo``."""

    index_job_id: str
    repository_id: str
    #: Anything that names a commit; None: the head of the default branch.
    commit_sha: str | None

    @classmethod
    def checked(cls, index_job_id: object, repository_id: object, commit_sha: object = None) -> IndexRequest:
        """The request, if it is one. Raises :class:`PermanentError`: a malformed request stays malformed."""
        for name, value in (("index_job_id", index_job_id), ("repository_id", repository_id)):
            try:
                UUID(str(value))
            except ValueError:
                raise PermanentError(f"expected {name} to be a UUID, got: {str(value)[:100]!r}") from None
        if commit_sha is not None and not isinstance(commit_sha, str):
            raise PermanentError(f"expected commit_sha to be a text or null, got: {type(commit_sha).__name__}")
        return cls(str(index_job_id), str(repository_id), commit_sha or None)


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a finished job says about itself. Stored as the actor's result; read with ``message.get_result()``."""

    success: bool
    files_processed: int | None = None
    symbols_extracted: int | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The form in which it is stored."""
        return asdict(self)
