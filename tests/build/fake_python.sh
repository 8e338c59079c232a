#!/usr/bin/env bash
# Stands in for python3.11: says that it is fit, makes a venv of itself, and writes down what pip is told.
# KILL=N kills the calling script at the Nth call of pip, FAIL=N makes that call fail.
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
    [ "${FAIL:-}" = "$calls" ] && echo "ERROR: no network" >&2 && exit 1
    ;;
esac
exit 0
