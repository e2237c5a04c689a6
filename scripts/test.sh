#!/usr/bin/env bash
# Everything that must hold before a commit: lint, format, types, tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"
cd "$ROOT"
"$VENV_PYTHON" -m ruff check .
"$VENV_PYTHON" -m ruff format --check .
"$VENV_PYTHON" -m mypy
# Most tests wait for a process or a server: three at a time keep two cores busy. A file stays together: it shares its server.
exec "$VENV_PYTHON" -m pytest -n 3 --dist loadfile "$@"
