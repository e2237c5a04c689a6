"""Who may see the page: whoever is on this machine, or knows the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request

COOKIE = "indexq_status"

#: Bytes of a form with a token.
FORM_LIMIT = 4096

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Access:
    """With a token, only who knows it. Without, only who sits at this machine.

    The name that the browser asked for counts as well: a page of somebody else's, whose name leads to this machine,
    would otherwise be allowed to read.
    """

    def __init__(self, token: str | None) -> None:
        # What the browser keeps is not the token itself.
        self._token = token
        self._cookie = None if token is None else hashlib.sha256(f"indexq status {token}".encode()).hexdigest()

    def refusal(self, request: Request) -> HTTPStatus | None:
        """Why the page is not shown: UNAUTHORIZED asks for the token, FORBIDDEN is final. None: it is shown."""
        if self._token is None or self._cookie is None:
            return None if _is_local(request) else HTTPStatus.FORBIDDEN
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        is_known = _same(given, self._token) or _same(request.cookies.get(COOKIE, ""), self._cookie)
        return None if is_known else HTTPStatus.UNAUTHORIZED

    async def admit(self, request: Request) -> str | None:
        """The cookie for whoever sent the right token with the form; None for the wrong one."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > FORM_LIMIT:
                return None
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        return self._cookie if self._token is not None and _same(given, self._token) else None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _is_local(request: Request) -> bool:
    here = request.scope.get("server") or ("", None)
    there = request.client.host if request.client is not None else ""
    name = _name(request.headers.get("host", ""))
    return _is_loopback(str(here[0])) and _is_loopback(there) and name in _LOCAL_NAMES


def _name(host: str) -> str:
    """What stands before the port; an address of IPv6 has its brackets and colons before it."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
