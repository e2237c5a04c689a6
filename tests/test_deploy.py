"""The examples in deploy/ give a worker the time that it needs to drain."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from leasequeue.session import CLOSE_TIMEOUT, INTERRUPT_TIMEOUT
from settings import Settings

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"

#: Seconds until dramatiq's main thread looks at its flag, and until the interpreter has ended.
AROUND_IT = 2.0

GRACES = {
    "systemd/indexq-workers.service": r"^TimeoutStopSec=(\d+)$",
    "compose.yaml": r"^ +stop_grace_period: (\d+)s$",
    "kubernetes/workers.yaml": r"^ +terminationGracePeriodSeconds: (\d+)$",
    "fly.toml": r"^kill_timeout = (\d+)$",
}


@pytest.mark.parametrize("name", GRACES)
def test_the_grace_is_longer_than_the_longest_end_of_a_worker(name: str) -> None:
    (grace,) = re.findall(GRACES[name], (DEPLOY / name).read_text(), re.MULTILINE)
    drain = Settings(supabase_db_url="").drain_seconds
    assert float(grace) >= drain + INTERRUPT_TIMEOUT + CLOSE_TIMEOUT + AROUND_IT


def test_each_probe_asks_its_route_where_the_workers_serve_it() -> None:
    manifest = (DEPLOY / "kubernetes/workers.yaml").read_text()
    probes = re.findall(r"^ +(\w+)Probe:\n +httpGet: { path: /(\w+), port: health }$", manifest, re.MULTILINE)
    assert probes == [("startup", "startup"), ("readiness", "ready"), ("liveness", "live")]
    (port,) = re.findall(r'name: HEALTH_PORT, value: "(\d+)"', manifest)
    assert re.findall(r"containerPort: (\d+), name: health", manifest) == [port]


def test_fly_drains_at_sigterm_and_asks_the_workers_where_they_serve() -> None:
    written = tomllib.loads((DEPLOY / "fly.toml").read_text())
    assert written["kill_signal"] == "SIGTERM"
    check, environ = written["checks"]["ready"], written["env"]
    assert (check["path"], check["port"]) == ("/ready", int(environ["HEALTH_PORT"]))
    assert environ["HEALTH_HOST"] == "0.0.0.0"
    assert check["processes"] == list(written["processes"])


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes/workers.yaml", "prometheus.yml", "prometheus-rules.yml"])
def test_each_example_in_yaml_is_yaml(name: str) -> None:
    assert all(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd/indexq-workers.service").read_text()
    # what is not on this machine: the installation, and its user
    for name, here in {"ExecStart": "/bin/true", "User": "root", "WorkingDirectory": "/"}.items():
        unit = re.sub(rf"^{name}=.*$", f"{name}={here}", unit, flags=re.MULTILINE)
    (tmp_path / "indexq-workers.service").write_text(unit)
    command = ["systemd-analyze", "verify", str(tmp_path / "indexq-workers.service")]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
