"""A Postgres that Docker Compose runs for this checkout, a self-hosted Supabase for example."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Seconds for one docker command. A daemon that hangs must not hold up the start.
DOCKER_SECONDS = 5

#: The port inside the container.
POSTGRES_PORT = 5432


def compose_urls(root: Path) -> Iterator[str]:
    """URLs of the running Compose services of `root` that look like Postgres; none where Docker does not work."""
    if shutil.which("docker") is None:
        return
    described = _ask(root, "config", "--format", "json")
    if described is None:
        return
    try:
        project = json.loads(described)
    except ValueError:
        return
    services: dict[str, Any] = (project.get("services") if isinstance(project, dict) else None) or {}
    for name, service in services.items():
        if "postgres" not in str(service.get("image", "")):
            continue
        published = _ask(root, "port", name, str(POSTGRES_PORT))
        port = (published or "").strip().rpartition(":")[2]
        if port.isdigit() and port != "0":
            yield _url(service.get("environment") or {}, port)


def _url(environment: dict[str, str | None], port: str) -> str:
    user = environment.get("POSTGRES_USER") or "postgres"
    password = environment.get("POSTGRES_PASSWORD") or "postgres"
    database = environment.get("POSTGRES_DB") or user
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{port}/{quote(database, safe='')}"


def _ask(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOCKER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout if answer.returncode == 0 else None
