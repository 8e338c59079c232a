#!/usr/bin/env bash
# Adds requirements-detoxify.lock to .venv, once: torch without CUDA, transformers, detoxify. Nothing that is there
# changes its version. A stamp is written last and goes with .venv when that is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."

. build/set-up.sh

[ -x .venv/bin/python ] || fail "no .venv; run make setup"

lock

stamp=.venv/detoxify-$(sha256sum <requirements-detoxify.lock | cut -c1-16)
[ ! -e "$stamp" ] || exit 0

mkdir -p "$TMPDIR"
rm -f .venv/detoxify-*
echo "→ detoxify and torch for the CPU in .venv, about 220 MB"
if ! .venv/bin/python -m pip install -qq --no-input --no-deps --only-binary :all: --require-hashes \
    -r requirements-detoxify.lock 2>"$errors"; then
    # The package index has torch with CUDA only, whose libraries are 2 GB more.
    ! grep -q "No matching distribution found for torch" "$errors" ||
        fail "pip finds no torch for the CPU; name a folder or an index with PyTorch's CPU builds in PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL (see pytorch.org, Get Started)"
    fail "$(cat "$errors"; echo "set-up stopped at: requirements-detoxify.lock")"
fi
sync -f .venv
touch "$stamp"
rm -rf "$TMPDIR"
