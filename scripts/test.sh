#!/usr/bin/env bash
# Everything that must hold before a commit: lint (bandit's rules too, S), format, types, known holes, tests. Arguments go
# to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"
cd "$ROOT"
"$VENV_PYTHON" -m ruff check .
"$VENV_PYTHON" -m ruff format --check .
"$VENV_PYTHON" -m mypy
# Of the dependencies, only in a whole run: it needs a service that is elsewhere.
if [ $# -eq 0 ]; then "$VENV_PYTHON" scripts/audit.py; fi
# Most tests wait for a process or a server: four at a time keep two cores busy. A file stays together: it shares its
# server. The longest files come first (tests/conftest.py), which the plugin would undo.
in_parallel=(--dist loadfile --no-loadscope-reorder)
"$VENV_PYTHON" -m pytest -n 4 "${in_parallel[@]}" "$@"
# The queue's correctness and fault suites once more, through a pgbouncer in transaction mode. Not when a part was asked
# for.
if [ $# -eq 0 ]; then
  if PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer >/dev/null; then
    exec "$VENV_PYTHON" -m pytest -n 4 "${in_parallel[@]}" --pooler tests/leasequeue tests/faults tests/actors
  fi
  echo "SKIPPED: the suites through a transaction pooler. Nothing of it was tested: apt-get install pgbouncer" >&2
fi
