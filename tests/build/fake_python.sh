#!/usr/bin/env bash
# Stands in for python3.11: says that it is fit, makes a venv of itself, and writes down what pip is told.
# At the Nth call of pip: KILL=N kills the calling script, FAIL=N fails, SLEEP=N waits to be interrupted.
case "$*" in
*interpreter.py*)
    echo "${SAYS:-3.11.9 fake}"
    exit "${UNFIT:-0}"
    ;;
"-m venv .venv")
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    ;;
"-m pip "*)
    echo "$*" >>pip.log
    calls=$(wc -l <pip.log)
    [ "${KILL:-}" = "$calls" ] && kill -KILL "$PPID"
    [ "${SLEEP:-}" = "$calls" ] && touch "$TMPDIR/scratch" && exec sleep 60
    [ "${FAIL:-}" = "$calls" ] && echo "ERROR: no network" >&2 && exit 1
    ;;
esac
exit 0
