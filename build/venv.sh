#!/usr/bin/env bash
# Makes .venv from requirements.lock, once. Usage: build/venv.sh [PYTHON]
# Without PYTHON it keeps the interpreter that .venv has, else looks for 3.11 or 3.12.
# A stamp is written last and names what it was made from: without the right stamp all is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."

. build/set-up.sh

python=${1:-}
if [ -z "$python" ] && [ -x .venv/bin/python ]; then
    python=$(readlink -f .venv/bin/python)
fi
python=${python:-$(command -v python3.11 || command -v python3.12 || echo python3)}

command -v "$python" >/dev/null ||
    fail "no '$python' on this machine; install Python 3.11 or 3.12, or name one: make setup PYTHON=/path/to/python3.12"
interpreter=$("$python" -I headrace/build/interpreter.py 2>&1) || true
case $interpreter in
    3.*) ;;
    headrace:*) fail "${interpreter#headrace: }" ;;
    *) fail "'$python' is not Python 3.11 or 3.12; name one: make setup PYTHON=python3.12" ;;
esac

lock
run() {
    "$@" 2>"$errors" || fail "$(cat "$errors"; echo "set-up stopped at: $*")"
}

packages=.venv/packages-$( (echo "$PWD $interpreter" && cat requirements.lock) | sha256sum | cut -c1-16)
project=.venv/project-$(sha256sum <pyproject.toml | cut -c1-16)

if [ ! -e "$packages" ] || [ ! -x .venv/bin/python ]; then
    echo "→ virtual environment in .venv ($python)"
    rm -rf .venv
    mkdir -p "$TMPDIR"
    run "$python" -m venv .venv
    echo "→ $(grep -c '==' requirements.lock) locked packages, about 300 MB"
    run .venv/bin/python -m pip install -qq --no-input --no-deps --only-binary :all: --require-hashes -r requirements.lock
    sync -f .venv
    touch "$packages"
fi

if [ ! -e "$project" ]; then
    rm -f .venv/project-*
    mkdir -p "$TMPDIR"
    run .venv/bin/python -m pip install -qq --no-input --no-deps --no-build-isolation --editable .
    touch "$project"
fi
rm -rf "$TMPDIR"
