"""Who may be asked for a repository, and with what: settings of the operator, not of the repository.

A URL comes from a customer, and a worker can reach more than its customers may: so an address that is not public is
refused unless the operator allows its host, and the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from indexing.errors import RepositoryRefused, TransientIndexError

_PORTS: Final = {"https": 443, "ssh": 22}

#: Seconds for a name server, and between two looks at the caller's wishes meanwhile.
_LOOK_UP_SECONDS: Final = 20.0
_WAKE_SECONDS: Final = 0.2

_SCP_LIKE: Final = re.compile(r"^[^@/]+@(\[[^\]]+\]|[^:/]+):")

#: The user name that goes with a token; servers look at the token alone.
_TOKEN_USER: Final = "x-access-token"  # noqa: S105 a name, no secret

#: Where the askpass program finds the token: in its environment, never on a command line.
_TOKEN_VARIABLE: Final = "INDEXQ_GIT_TOKEN"  # noqa: S105 the name of a variable


@dataclass(frozen=True, repr=False)
class Access:
    """What a run may reach beyond the database. It has secrets and no repr."""

    #: Host (or host:port) -> token for https.
    tokens: Mapping[str, str] = field(default_factory=dict)
    #: A program that git asks for user names and passwords, for hosts without a token; None: none.
    askpass: str | None = None
    #: Hosts, and networks such as ``10.0.0.0/8``, that may be read although their address is not public.
    allowed_hosts: Sequence[str] = ()
    #: Directories below which repositories of this machine may be read.
    local_directories: Sequence[str] = ("/",)
    #: Where fetched objects stay for the next commit; None: nowhere.
    cache_directory: str | None = None
    #: What all cached repositories may take together, in bytes.
    cache_bytes: int = 10 * 1024**3

    def check_directory(self, path: Path) -> None:
        """RepositoryRefused for a directory that is not below an allowed one; links are followed first."""
        real = path.resolve()
        if not any(real.is_relative_to(Path(each).resolve()) for each in self.local_directories):
            raise RepositoryRefused(
                f"expected a repository below one of {', '.join(self.local_directories) or 'no directory'}, "
                f"got {path}: move it, or allow its directory in the settings"
            )

    def to(self, url: str, on_wait: Callable[[], None] = lambda: None) -> Way:
        """How git reaches a URL. RepositoryRefused, or TransientIndexError while its host has no address."""
        scheme, host, port = _endpoint(url)
        address = None if self._is_allowed_host(host) else self._public_address(scheme, host, port, on_wait)
        return Way(scheme, host, port, address, self._token(host, port), self.askpass)

    def _token(self, host: str, port: int | None) -> str | None:
        return self.tokens.get(f"{host}:{port}") or self.tokens.get(host)

    def _is_allowed_host(self, host: str) -> bool:
        return host in (each.lower() for each in self.allowed_hosts)

    def _public_address(self, scheme: str, host: str, port: int | None, on_wait: Callable[[], None]) -> str | None:
        """An address to connect to; None when a proxy is asked, which looks the name up itself."""
        literal = _literal(host)
        if literal is None and scheme == "https" and _has_proxy():
            if host == "localhost" or host.endswith(".localhost"):
                raise _refusal(host, "this machine")
            return None
        addresses = _look_up(host, port or _PORTS[scheme], on_wait)
        for each in addresses:
            if not self._may_connect(each):
                raise _refusal(host, each)
        return addresses[0]

    def _may_connect(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
        if parsed.is_global and not parsed.is_multicast and (inner is None or inner.is_global):
            return True
        return any(parsed in network for network in map(_network, self.allowed_hosts) if network is not None)


#: Public servers, any directory, no secrets and no cache.
NO_ACCESS: Final = Access()


@dataclass(frozen=True, repr=False)
class Way:
    """To one server: options and variables for git."""

    scheme: str
    host: str
    port: int | None
    #: The one that was checked; None: any.
    address: str | None
    token: str | None
    askpass: str | None

    @property
    def options(self) -> list[str]:
        """A server must not send us elsewhere: redirects are refused, and the name is not looked up again."""
        options = ["-c", "http.followRedirects=false"]
        if self.scheme == "https" and self.address is not None:
            target = f"[{self.address}]" if ":" in self.address else self.address
            options += ["-c", f"http.curloptResolve={self.host}:{self.port or 443}:{target}"]
        return options

    @property
    def ssh_options(self) -> list[str]:
        """The same for ssh; the host's key is still looked up under its name."""
        if self.address is None:
            return []
        alias = self.host if self.port in (None, 22) else f"[{self.host}]:{self.port}"
        return ["-o", f"HostName={self.address}", "-o", f"HostKeyAlias={alias}"]

    def variables(self, home: Path) -> dict[str, str]:
        """Variables with which git asks for a password where it cannot be seen. ``home``: a private directory."""
        if self.token is None:
            return {} if self.askpass is None else {"GIT_ASKPASS": self.askpass}
        program = home / "askpass"
        place = f"{self.host}:{self.port}" if self.port is not None else self.host
        # Only the host it is for gets it.
        user, password = f"Username for 'https://{place}': ", f"Password for 'https://{_TOKEN_USER}@{place}': "
        program.write_text(
            "#!/bin/sh\n"
            'case "$1" in\n'
            f"{shlex.quote(user)}) echo {_TOKEN_USER} ;;\n"
            f"{shlex.quote(password)}) printf '%s\\n' \"${_TOKEN_VARIABLE}\" ;;\n"
            "*) exit 1 ;;\n"
            "esac\n"
        )
        program.chmod(0o700)
        return {"GIT_ASKPASS": str(program), _TOKEN_VARIABLE: self.token}


def _endpoint(url: str) -> tuple[str, str, int | None]:
    scp_like = _SCP_LIKE.match(url)
    if scp_like and "://" not in url:
        return "ssh", scp_like[1].strip("[]").lower(), None
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _look_up(host: str, port: int, on_wait: Callable[[], None]) -> list[str]:
    """All addresses of a host. In a thread, because a name server may be silent for longer than we may."""
    answers: list[list[str] | OSError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.append([str(each[4][0]).partition("%")[0] for each in found])
        except OSError as error:
            answers.append(error)

    asking = threading.Thread(target=ask, name="look-up", daemon=True)
    asking.start()
    deadline = time.monotonic() + _LOOK_UP_SECONDS
    while asking.is_alive() and time.monotonic() < deadline:
        asking.join(_WAKE_SECONDS)
        on_wait()
    answer = answers[0] if answers else OSError(f"no answer within {_LOOK_UP_SECONDS:g} s")
    if isinstance(answer, OSError):
        raise TransientIndexError(f"expected an address for the host {host}, got none: {answer}") from answer
    return answer


def _has_proxy() -> bool:
    return any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))


def _refusal(host: str, address: str) -> RepositoryRefused:
    return RepositoryRefused(
        f"expected a host with a public address, got {host} at {address}: "
        "use another URL, or allow the host in the settings of the worker"
    )
