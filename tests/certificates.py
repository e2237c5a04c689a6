"""Throw-away certificate authorities and what they sign, made by the machine's openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

#: None: this machine cannot make certificates.
OPENSSL = shutil.which("openssl")

_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


class Authority:
    """A CA with its files in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        #: What clients name as ``sslrootcert``.
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        self._run(f"req -x509 {_KEY} -days 2 -subj /CN=throwaway -keyout {self._key} -out {self.certificate}")

    def sign(self, host: str) -> tuple[Path, Path]:
        """Make a certificate for a host name; returns its file and that of its key."""
        certificate, key, request, names = (
            self._directory / f"{host}.{ending}" for ending in ("crt", "key", "csr", "ext")
        )
        names.write_text(f"subjectAltName=DNS:{host}\n")
        self._run(f"req {_KEY} -subj /CN={host} -keyout {key} -out {request}")
        self._run(
            f"x509 -req -in {request} -CA {self.certificate} -CAkey {self._key} -CAcreateserial -days 2 "
            f"-extfile {names} -out {certificate}"
        )
        return certificate, key

    def _run(self, arguments: str) -> None:
        assert OPENSSL is not None
        subprocess.run([OPENSSL, *arguments.split()], check=True, capture_output=True)
