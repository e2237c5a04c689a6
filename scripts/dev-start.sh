#!/usr/bin/env bash
# From a fresh clone to a repository indexed in the background, in one command.
#
#   scripts/dev-start.sh [--once] [REPO]    REPO: a path or URL, by default this repository; --once: end after the job
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"
exec "$VENV_PYTHON" "$ROOT/scripts/dev_start.py" "$@"
