"""A real pgbouncer before a server, for one test or one measurement, where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit, urlunsplit

#: Where the package puts it, which is not on everybody's PATH.
PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")

#: Sessions with the server that all clients of a database share.
POOL_SIZE = 4

#: Seconds for which it refuses everybody when it could not reach the server: tests stop servers for a moment.
LOGIN_RETRY_SECONDS = 1

#: Seconds for it to listen.
START_SECONDS = 10.0


class Pooler:
    """``with Pooler(server_url) as pooler: connect(pooler.url_of(url))``.

    Parameters:
      mode: ``transaction`` or ``session``: for how long a client has a session with the server to itself.
      pool_size: sessions with the server that all clients of a database share.
      certificate: files of the server's certificate and its key; then it takes clients with TLS alone.
    """

    def __init__(
        self,
        server_url: str,
        *,
        mode: str = "transaction",
        pool_size: int = POOL_SIZE,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        assert PROGRAM is not None
        parts = urlsplit(server_url)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._directory = Path(tempfile.mkdtemp(prefix="indexq-pooler-"))
        self._directory.chmod(0o755)
        self._log = self._directory / "log"
        user, password = unquote(parts.username or "postgres"), unquote(parts.password or "")
        (self._directory / "users").write_text(f'"{user}" "{password}"\n')
        (self._directory / "ini").write_text(
            "[databases]\n"
            f"* = host={parts.hostname} port={parts.port or 5432} user={user} password='{password}'\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {self._directory / 'users'}\n"
            f"pool_mode = {mode}\ndefault_pool_size = {pool_size}\nmax_client_conn = 1000\n"
            f"server_login_retry = {LOGIN_RETRY_SECONDS}\n" + self._tls(certificate)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def _tls(self, certificate: tuple[Path, Path] | None) -> str:
        if certificate is None:
            return ""
        settings = ["client_tls_sslmode = require"]
        for name, given in zip(("cert", "key"), certificate, strict=True):
            # A copy of its own: as root it runs as somebody else, who may not look where the original lies.
            settings.append(f"client_tls_{name}_file = {self._directory / name}")
            (self._directory / name).write_bytes(given.read_bytes())
        return "\n".join(settings) + "\n"

    def url_of(self, url: str) -> str:
        """The same database through the pooler."""
        parts = urlsplit(url)
        credentials, _, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{self.port}"))

    def __enter__(self) -> Pooler:
        self.start()
        return self

    def start(self) -> None:
        """Start it; again after :meth:`stop`, on the same port."""
        assert PROGRAM is not None
        as_root = os.geteuid() == 0  # it refuses to run as root
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, self._directory / "ini"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user="nobody" if as_root else None,
                group="nogroup" if as_root else None,
                extra_groups=[] if as_root else None,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if time.monotonic() > deadline or self._process.poll() is not None:
                said = self._log.read_text().strip()
                self.remove()
                raise RuntimeError(f"expected pgbouncer to listen within {START_SECONDS:g} s, but it said: {said}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, and all sessions through it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def remove(self) -> None:
        """The same, and its files away."""
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()
