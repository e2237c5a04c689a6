"""Figures from several processes, and whether Prometheus and Grafana can do something with them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from waiting import wait_until

from .conftest import ROOT, House, Probe

DEPLOY = ROOT / "deploy"
DOCUMENT = ROOT / "docs" / "metrics.md"

SEND = """
from health_actors import work
for _ in range(30):
    work.send(0)
"""


def samples(probe: Probe, path: str = "metrics") -> list[Sample]:
    answer = probe.client.get(f"{probe.url}/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    return [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]


def total(found: list[Sample], name: str, **labels: str) -> float:
    return sum(
        each.value for each in found if each.name == f"leasequeue_{name}" and labels.items() <= each.labels.items()
    )


def test_figures_of_several_processes_add_up_also_of_those_that_ended(house: House, database: str) -> None:
    probe = house.sidecar(database)
    workers = house.workers(database, processes=2, threads=2)
    api = house.run(["-c", SEND], database)
    assert api.process.wait(20) == 0

    wait_until(lambda: total(samples(probe), "jobs_finished_total", outcome="done") == 30, 10, "not all are counted")
    found = samples(probe)
    assert total(found, "jobs_enqueued_total", queue="index-repo", actor="work") == 30
    assert total(found, "jobs_claimed_total") == 30
    assert total(found, "job_run_seconds_count", actor="work") == 30
    assert total(found, "job_waiting_seconds_count", actor="work") == 30
    assert total(found, "job_waiting_seconds_bucket", actor="work", le="15.0") == 30
    assert total(found, "leases_lost_total") == total(found, "jobs_rescued_total") == 0
    assert total(found, "process_threads") == total(found, "process_threads_live") == 4
    assert total(found, "process_state", state="working") == 2
    for loop in ("claim", "finish", "keep"):
        assert total(found, "loop_rounds_total", loop=loop, result="good") > 0
        assert total(found, "database_call_seconds_count", loop=loop) > 0
    assert len({each.labels["process"] for each in found if each.name == "leasequeue_jobs_claimed_total"}) == 2

    queue = samples(probe, "metrics/queue")
    assert total(queue, "database_up") == 1
    assert total(queue, "table_bytes", table="queue") > 0
    assert_documented_and_sound(probe)

    pids = [int(each.labels["process"]) for each in found if each.name == "leasequeue_process_threads"]
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: total(samples(probe), "process_state") == 0, 20, "they go on")
    assert total(samples(probe), "jobs_finished_total", outcome="done") == 30
    assert workers.process.wait(20) != 0


def assert_documented_and_sound(probe: Probe) -> None:
    """Every metric is in the table of docs/metrics.md and the other way round; promtool finds nothing to say."""
    exposed = set()
    for path in ("metrics", "metrics/queue"):
        text = probe.client.get(f"{probe.url}/{path}").text
        exposed |= {family.name for family in text_string_to_metric_families(text)}
        if tool := promtool():
            checked = subprocess.run(
                [tool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
            )
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    told = set(re.findall(r"^\| `(leasequeue_[a-z_]+?)(?:_total)?`", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    assert exposed == told


def test_a_database_that_is_away_costs_the_figures_of_the_queue_only(house: House) -> None:
    probe = house.sidecar("postgresql://someone:s3cret-word@127.0.0.1:1/product")
    assert total(samples(probe, "metrics/queue"), "database_up") == 0
    assert samples(probe) == []


def test_what_is_ready_scheduled_running_and_dead_is_told_by_queue(house: House, database: str) -> None:
    from .test_routes import ROWS
    from .test_states import execute

    execute(database, ROWS)
    found = samples(house.sidecar(database), "metrics/queue")
    states = {
        each.labels["state"]: each.value
        for each in found
        if each.labels.get("queue") == "index-repo" and "state" in each.labels
    }
    assert states == {"ready": 2, "scheduled": 1, "running": 1, "dead": 1}
    assert 90 <= total(found, "queue_oldest_ready_seconds", queue="index-repo") < 120
    assert total(found, "workers", state="working") == 1


def test_a_transaction_that_keeps_dead_rows_is_told_by_its_age(house: House, database: str) -> None:
    probe = house.sidecar(database)

    def age() -> float:
        return total(samples(probe, "metrics/queue"), "oldest_transaction_seconds")

    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
        wait_until(lambda: age() > 1, 20, "nobody tells its age")
        connection.rollback()
        wait_until(lambda: age() < 1, 20, "it is gone")


# What is made of them.


def promtool() -> str | None:
    return os.environ.get("PROMTOOL") or shutil.which("promtool")


@pytest.fixture
def tool() -> str:
    found = promtool()
    if found is None:
        pytest.skip("NOT CHECKED: no promtool here; install the Debian package prometheus, or name it in PROMTOOL")
    return found


def run(*arguments: str | Path) -> None:
    done = subprocess.run(arguments, cwd=DEPLOY, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, file=sys.stderr)
    assert done.returncode == 0


def test_prometheus_loads_its_configuration_and_the_alert_rules(tool: str) -> None:
    run(tool, "check", "config", "prometheus.yml")
    run(tool, "check", "rules", "prometheus-rules.yml")


def test_each_alert_fires_when_it_should_and_not_before(tool: str) -> None:
    run(tool, "test", "rules", "prometheus-rules.test.yml")


def test_a_real_prometheus_has_an_answer_to_each_panel_and_evaluates_each_alert(house: House, database: str) -> None:
    """Of real figures: a panel whose expression finds nothing would stay empty."""
    if (prometheus := shutil.which("prometheus")) is None:
        pytest.skip("NOT CHECKED: no prometheus here; install the Debian package prometheus")
    probe, port = house.sidecar(database), free_port()
    house.workers(database, threads=2)
    assert house.run(["-c", SEND], database).process.wait(20) == 0
    target = probe.url.removeprefix("http://")
    job = "- {{job_name: {0}, metrics_path: {1}, static_configs: [{{targets: ['{2}']}}]}}\n"
    configuration = house.directory / "prometheus.yml"
    configuration.write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n"
        f"rule_files: ['{DEPLOY}/prometheus-rules.yml']\nscrape_configs:\n"
        + job.format("indexq-machines", "/metrics", target)
        + job.format("indexq-queue", "/metrics/queue", target)
    )
    server = subprocess.Popen(
        [
            prometheus,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={house.directory / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    house.stack.callback(server.wait, 10)
    house.stack.callback(server.kill)

    def ask(path: str, **parameters: str) -> Any:
        try:
            answer = probe.client.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=parameters).json()
        except (httpx.TransportError, ValueError):
            return None  # not there yet
        assert answer["status"] == "success", answer
        return answer["data"]

    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    queries = [expression.replace("$__rate_interval", "30s") for expression in expressions]

    def empty() -> list[str]:
        return [query for query in queries if not (ask("query", query=query) or {}).get("result")]

    with suppress(AssertionError):
        wait_until(lambda: not empty(), 15)
    assert empty() == []

    def rules() -> list[dict[str, Any]]:
        return [rule for group in (ask("rules") or {"groups": []})["groups"] for rule in group["rules"]]

    wait_until(lambda: {rule["health"] for rule in rules()} == {"ok"}, 10, "alerts are not evaluated")
    assert len(rules()) >= 13
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


def test_rules_and_dashboard_ask_only_for_metrics_that_exist() -> None:
    told = set(re.findall(r"^\| `(leasequeue_[a-z_]+)`", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    series = told | {f"{name}{part}" for name in told for part in ("_bucket", "_count", "_sum")}
    for name in ("prometheus-rules.yml", "grafana-dashboard.json"):
        asked = set(re.findall(r"leasequeue_[a-z_]+", (DEPLOY / name).read_text("utf-8")))
        assert asked
        assert asked <= series, asked - series


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    assert dashboard["title"] == "indexq"
    assert dashboard["schemaVersion"] >= 36
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
