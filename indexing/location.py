"""Where a repository is: a directory of this machine, or a server.

Only ``https`` and ``ssh`` are fetched. A secret in a URL is refused: it would be seen in process lists, in the database
and in logs.
"""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from indexing.errors import RepositoryRefused

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)(://|::)")
_SCP_LIKE = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9_\[][A-Za-z0-9_.:\]-]*:[^:].*$", re.DOTALL)
_USERINFO = re.compile(r"(?<=://)[^/\s@]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_EXPECTED = "expected an absolute path, or a file://, https://, ssh:// or user@host:path URL"


@dataclass(frozen=True)
class Location:
    """A place in its one spelling. ``kind`` says who reads it: the disk or git's transports."""

    kind: Literal["local", "remote"]
    #: An absolute path, or the URL as git takes it; holds no secret.
    url: str

    @property
    def name(self) -> str:
        """What people call it: the last part, without ``.git``."""
        last = re.split(r"[/:]", self.url.rstrip("/"))[-1]
        return last.removesuffix(".git") or self.url


def owner_of(url: str) -> str:
    """Whose repository it is, for sharing workers: host and first part of the path, or the directory it lies in."""
    place = parse(url)
    if place.kind == "local":
        return str(Path(place.url).parent)
    scheme, _, rest = place.url.rpartition("://")
    host, _, path = (rest if scheme else rest.replace(":", "/", 1)).partition("/")
    return f"{host.rpartition('@')[2]}/{path.strip('/').split('/')[0]}"


def mask(text: str) -> str:
    """The text with user names and passwords in URLs replaced by ``***``."""
    return _USERINFO.sub("***@", text)


def parse(url: str) -> Location:
    """The location a URL or path means. RepositoryRefused, never with the secret in it, when it is not one we read."""
    if not url.strip():
        raise RepositoryRefused(f"{_EXPECTED}, got nothing")
    if _CONTROL.search(url):
        raise RepositoryRefused(f"{_EXPECTED}, got control characters in {mask(url)!r}")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Location("remote", url.rstrip("/")) if _SCP_LIKE.match(url) else _local(url, url)
    if scheme[2] == "::" or scheme[1].lower() not in ("file", "https", "ssh"):
        raise RepositoryRefused(f"{_EXPECTED}, got the scheme {scheme[1]!r}: it is not read here")
    return _split(url, scheme[1].lower())


def _split(url: str, scheme: str) -> Location:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise RepositoryRefused(f"{_EXPECTED}, got {mask(url)}: its host or port cannot be read") from error
    if scheme == "file":
        if host not in (None, "localhost"):
            raise RepositoryRefused(f"expected file:///path, got the host {host!r}: use ssh:// for another machine")
        return _local(unquote(parts.path), url)
    if parts.password is not None or (scheme == "https" and parts.username is not None):
        raise RepositoryRefused(
            f"expected a URL without user name and password, got {mask(url)}: "
            "they would be stored and logged, remove them"
        )
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise RepositoryRefused(f"{_EXPECTED}, got {mask(url)}: it names no host")
    return Location("remote", url.rstrip("/"))


def _local(path: str, given: str) -> Location:
    if not Path(path).is_absolute():
        raise RepositoryRefused(f"{_EXPECTED}, got {mask(given)!r}: a worker has another current directory")
    return Location("local", os.path.normpath(path))
