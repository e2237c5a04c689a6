"""The examples in deploy/ give a worker the time that it needs to drain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leasequeue.session import CLOSE_TIMEOUT, INTERRUPT_TIMEOUT
from settings import Settings

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"

#: Seconds until dramatiq's main thread looks at its flag, and until the interpreter has ended.
AROUND_IT = 2.0

GRACES = {
    "systemd/indexq-workers.service": r"^TimeoutStopSec=(\d+)$",
    "compose.yaml": r"^ +stop_grace_period: (\d+)s$",
    "kubernetes/workers.yaml": r"^ +terminationGracePeriodSeconds: (\d+)$",
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
