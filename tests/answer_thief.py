"""A network between a client and its Postgres that can lose answers: what was asked is done, and nobody hears of it."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit


class AnswerThief:
    """Forwards to a server. The first answer that contains what ``steal`` was told is lost, and its connection ends.

    with AnswerThief(url) as network:
        connect(network.url)
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        credentials, _, _ = parts.netloc.rpartition("@")
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}@{address}" if credentials else address))
        self.stolen = threading.Event()
        self._wanted: bytes | None = None
        self._closing = threading.Event()

    def __enter__(self) -> AnswerThief:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.close()

    def steal(self, text: str) -> None:
        """Lose the next answer in which this text is."""
        self._wanted = text.encode()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._server) as server:
            while not self._closing.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.2)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is server and self._wanted is not None and self._wanted in data:
                        self._wanted = None
                        self.stolen.set()
                        return
                    (server if end is client else client).sendall(data)
