"""Why a commit could not be indexed: for ever, or for now.

Errors of the database are not among them: they belong to whoever owns the connection, and are psycopg2's own.
"""

from __future__ import annotations


class IndexingError(Exception):
    """A commit could not be indexed. The message is for people and holds no credentials."""


class PermanentIndexError(IndexingError):
    """Another try would end the same way: the request has to change first."""


class RepositoryNotFound(PermanentIndexError):
    """There is nothing at that place, or nothing that we may see."""


class NotAGitRepository(PermanentIndexError):
    """There is something at that place, but no git repository."""


class CommitNotFound(PermanentIndexError):
    """The repository has no such commit, branch or tag."""


class UnsafeRepository(PermanentIndexError):
    """Reading it would read outside of it: alternates, links, worktrees."""


class RepositoryRefused(PermanentIndexError):
    """A URL that is not read here: an unknown scheme, a secret in it, or a server that says no."""


class RepositoryTooLarge(PermanentIndexError):
    """More files or bytes than the limits allow."""


class TransientIndexError(IndexingError):
    """The same request may work later: a network, a timeout, a server that is down."""


class GitUnavailable(TransientIndexError):
    """This machine has no usable git; another worker's may."""
