"""The audit of dependencies: a hole fails it, and a service that is away is told, not taken for a clean bill."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from audit import judged

ROOT = Path(__file__).resolve().parents[2]

#: What the service of the test knows.
HOLE = {"id": "OSV-1", "aliases": ["CVE-1"], "summary": "", "affected": [], "details": "it leaks"}


class Service(BaseHTTPRequestHandler):
    """Speaks as much of OSV's language as pip-audit listens to."""

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = question["package"]["name"]
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [], "versions": ["1.0"]}]
        answer = json.dumps({"vulns": [{**HOLE, "affected": affected}]} if name == "leaky" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


Audit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Audits packages with the advisories at a URL: ``audit(url, "leaky==1.0")``."""

    def run(url: str, *packages: str) -> subprocess.CompletedProcess[str]:
        requirements = tmp_path / "pinned.txt"
        requirements.write_text("\n".join(packages) + "\n")
        command: list[str | Path] = [sys.executable, ROOT / "scripts" / "audit.py", "--requirement", requirements]
        command += ["--vulnerability-service", "osv", "--osv-url", url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_known_hole_fails_and_says_where(audit: Audit, service: str) -> None:
    result = audit(service, "leaky==1.0", "sound==2.0")
    assert result.returncode == 1
    assert "audit: leaky 1.0 has CVE-1; repaired in: none yet" in result.stdout
    assert "2 of 2 dependencies were looked up, 1 known holes" in result.stdout


def test_no_known_hole_is_success(audit: Audit, service: str) -> None:
    result = audit(service, "sound==2.0")
    assert result.returncode == 0
    assert "1 of 1 dependencies were looked up, 0 known holes" in result.stdout


def test_a_service_that_cannot_be_asked_is_told_and_does_not_fail(audit: Audit) -> None:
    result = audit("http://127.0.0.1:1", "sound==2.0")
    assert result.returncode == 0
    assert "audit: SKIPPED, no dependency was looked up: " in result.stderr
    assert result.stdout == ""


def test_a_service_that_knows_none_of_the_packages_is_no_clean_bill(capsys: pytest.CaptureFixture[str]) -> None:
    """As a mirror answers pip-audit, which calls that a success."""
    unknown = {"name": "anyio", "skip_reason": "Dependency not found on PyPI and could not be audited: anyio (4.16.0)"}
    assert judged([unknown, unknown]) == 0
    assert "audit: SKIPPED, no dependency was looked up: Dependency not found" in capsys.readouterr().err
    known = {"name": "idna", "version": "3.20", "vulns": []}
    assert judged([unknown, known]) == 0
    assert "audit: NOT AUDITED: anyio: the service does not know them" in capsys.readouterr().out
