# Sourced by the other scripts: checks what the machine must have and makes .venv. Sets ROOT and VENV_PYTHON.
# Everything that deserves a test is in bootstrap.py; this only finds a Python that can run it.

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

is_new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if is_new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

case "$(uname -s)" in
    Linux | Darwin) ;;
    *) fail "expected Linux or macOS, got: $(uname -s); on Windows run it inside WSL 2" ;;
esac

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV_PYTHON="$ROOT/.venv/bin/python"

command -v git >/dev/null 2>&1 || fail "expected git, found none; install it with the system's package manager"
python="$(find_python)" ||
    fail "expected Python 3.11 or newer, found: $(python3 --version 2>&1 || true); install it, or name it in PYTHON"
"$python" "$ROOT/scripts/bootstrap.py" || exit 1
