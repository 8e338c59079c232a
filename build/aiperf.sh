#!/usr/bin/env bash
# Makes aiperf's own environment from requirements-aiperf.lock, once: it needs other versions than ours of what we use
# too. By uv, which takes seconds where pip takes a minute. A stamp is written last; without the right one all is made
# anew.
set -euo pipefail
cd "$(dirname "$0")/.."

. build/set-up.sh

[ -x .venv/bin/uv ] || fail "no .venv; run make setup"

lock

home=${HEADRACE_HOME:-.headrace}/aiperf
python=$(readlink -f .venv/bin/python)
stamp=$home/packages-$( (echo "$PWD $python" && cat requirements-aiperf.lock) | sha256sum | cut -c1-16)
[ ! -e "$stamp" ] || exit 0

run() {
    "$@" 2>"$errors" || fail "$(cat "$errors"; echo "set-up stopped at: $*")"
}

mkdir -p "$TMPDIR"
rm -rf "$home"
echo "→ aiperf in $home, about 840 MB"
run .venv/bin/uv venv --quiet --python "$python" "$home"
run .venv/bin/uv pip install --quiet --python "$home/bin/python" --no-deps --only-binary :all: --require-hashes \
    --system-certs --requirements requirements-aiperf.lock
sync -f "$home"
touch "$stamp"
rm -rf "$TMPDIR"
