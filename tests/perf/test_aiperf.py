"""NVIDIA's real aiperf against the gateway, and what keeps a bad run from looking good."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from headrace import paths
from headrace.audit.query import Filter, query
from headrace.errors import StartupError
from perf.aiperf import AiperfFailed, Load, run
from tests.gateway_stack import GatewayStack

LOAD = Load(concurrency=4, requests=12, prompt_tokens=60, new_tokens=8)
MODEL = paths.default_model()
NOWHERE = "http://127.0.0.1:1"


@pytest.mark.usefixtures("aiperf")
def test_every_chat_of_a_profile_succeeds_as_its_tenant(gateway_stack: GatewayStack, tmp_path: Path) -> None:
    began = datetime.now(UTC)
    report = run(gateway_stack.url, MODEL, LOAD, tmp_path, gateway_stack.keys["acme"])
    assert 0 < report.time_to_first_token.avg < report.request_latency.avg
    records = list(query(gateway_stack.audit_folder, Filter(tenant="acme", since=began)))
    assert len(records) == LOAD.requests
    assert {(record.dialect, record.operation, record.outcome) for record in records} == {
        ("openai", "chat.completions", "ok")
    }
    assert {(record.prompt_tokens, record.completion_tokens) for record in records} == {(60, 8)}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of aiperf; a test writes it."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    file = tmp_path / "aiperf" / "bin" / "aiperf"
    file.parent.mkdir(parents=True)
    return file


def _says(program: Path, results: Path, **changes: object) -> None:
    """It leaves this report."""
    figures = {"avg": 12.0, "min": 8.0}
    names = ("request_count", "output_sequence_length", "time_to_first_token", "request_latency")
    report = {"was_cancelled": False} | dict.fromkeys(names, figures) | changes
    file = results / "said.json"
    file.write_bytes(msgspec.json.encode(report))
    program.write_text(f"#!/bin/sh\ncp {file} {results}/profile_export_aiperf.json\n", encoding="utf-8")
    program.chmod(0o755)


def _run(results: Path) -> None:
    run(NOWHERE, MODEL, LOAD, results)


def test_a_good_report_is_one(program: Path, tmp_path: Path) -> None:
    _says(program, tmp_path)
    _run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"request_count": {"avg": 11.0}}, "11 of 12 requests were answered"),
        ({"was_cancelled": True}, "of 12 requests"),
        ({"output_sequence_length": {"avg": 7.9, "min": 3.0}}, "an answer had 3.0 tokens instead of 8"),
        ({"request_count": None}, "no usable report"),
    ],
)
def test_a_bad_report_fails_the_run(
    program: Path, tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    _says(program, tmp_path, **changes)
    with pytest.raises(AiperfFailed, match=problem):
        _run(tmp_path)


def test_the_report_of_an_earlier_run_is_not_taken_for_this_one(program: Path, tmp_path: Path) -> None:
    _says(program, tmp_path)
    _run(tmp_path)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    with pytest.raises(AiperfFailed, match="no usable report"):
        _run(tmp_path)


def test_its_own_failure_fails_the_run(program: Path, tmp_path: Path) -> None:
    program.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(AiperfFailed, match="ended with code 3"):
        _run(tmp_path)


def test_where_it_is_not_installed_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    with pytest.raises(StartupError, match="make setup-aiperf"):
        _run(tmp_path)


def test_a_wrong_command_fails_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "perf.aiperf", "--url", NOWHERE, "--results", str(tmp_path)]
    environment = {"PATH": "", "HEADRACE_HOME": str(tmp_path)}
    done = subprocess.run(
        command, env=environment, cwd=paths.PROJECT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "error: aiperf is not installed; run `make setup-aiperf`\n")
