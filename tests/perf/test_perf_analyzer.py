"""NVIDIA's real perf_analyzer for a moment on each profile, and what keeps a bad run from looking good."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from headrace import paths
from headrace.errors import ConfigError
from perf.analyzer_export import AnalyzerFailed, summarise
from perf.analyzer_profile import Profile, load_profiles
from perf.perf_analyzer import Analyzer, write_csv
from tests.stack import Stack

PROFILES = load_profiles()


def _analyzer(stack: Stack, results: Path) -> Analyzer:
    http, grpc = f"127.0.0.1:{stack.http_port}", f"127.0.0.1:{stack.grpc_port}"
    return Analyzer(http, grpc, paths.default_model(), results)


def _short(profile: Profile) -> Profile:
    changes = {"requests": 12 if profile.prompts == "distinct" else 200, "prompt_tokens": 60, "new_tokens": 6}
    return profile.model_copy(update=changes)


@pytest.mark.usefixtures("perf_analyzer")
@pytest.mark.parametrize("name", PROFILES)
def test_every_request_of_a_profile_succeeds(stack: Stack, tmp_path: Path, name: str) -> None:
    profile = _short(PROFILES[name])
    made_before = stack.stats().engine.generated_tokens
    summary = _analyzer(stack, tmp_path).run(name, profile, concurrency=2)
    made = stack.stats().engine.generated_tokens - made_before
    assert summary.requests == profile.requests
    assert 0 < summary.first_p50_ms <= summary.answer_p50_ms <= summary.answer_p95_ms
    if profile.prompts == "distinct":
        assert made >= profile.requests * profile.new_tokens, "the response cache answered some of them"
    else:
        assert made <= 4 * profile.new_tokens, "the response cache did not answer"
    (row,) = csv.DictReader((tmp_path / f"{name}-2.csv").open(encoding="utf-8"))
    assert float(row["Inferences/Second"]) > 0


@pytest.mark.usefixtures("perf_analyzer")
def test_refused_requests_fail_the_run(stack: Stack, tmp_path: Path) -> None:
    profile = _short(PROFILES["assistant-grpc"]).model_copy(update={"new_tokens": 10**6})
    with pytest.raises(AnalyzerFailed, match="assistant-grpc"):
        _analyzer(stack, tmp_path).run("assistant-grpc", profile, concurrency=1)


@pytest.mark.usefixtures("perf_analyzer")
def test_without_a_server_the_command_fails_in_one_line(tmp_path: Path) -> None:
    settings = tmp_path / "headrace.yaml"
    settings.write_text("server: {http_port: 1, grpc_port: 2, metrics_port: 3}", encoding="utf-8")
    command = [sys.executable, "-m", "perf", "--running", "--profile", "assistant-http"]
    done = subprocess.run(
        [*command, "--results", str(tmp_path)],
        env={"PATH": "", "HEADRACE_CONFIG": str(settings), "HEADRACE_HOME": str(paths.home())},
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "error: assistant-http: perf_analyzer ended with code" in done.stderr
    assert "Traceback" not in done.stderr


def _export(folder: Path, *requests: dict[str, object]) -> Path:
    file = folder / "export.json"
    file.write_bytes(msgspec.json.encode({"experiments": [{"requests": requests}]}))
    return file


def _request(sent_ms: int, responses_ms: list[int], tokens: int = 4, reason: str = "length") -> dict[str, object]:
    outputs: list[dict[str, object]] = [{"finish_reason": "", "completion_tokens": 1}] * (len(responses_ms) - 1)
    outputs += [{"finish_reason": reason, "completion_tokens": tokens}] if responses_ms else []
    times = [moment * 1_000_000 for moment in responses_ms]
    return {"timestamp": sent_ms * 1_000_000, "response_timestamps": times, "response_outputs": outputs}


def test_a_summary_by_hand(tmp_path: Path) -> None:
    """Two requests of four tokens within half a second."""
    export = _export(tmp_path, _request(1000, [1010, 1200]), _request(1100, [1130, 1500]))
    found = summarise(export, "name", 2, expected=2, tokens=4)
    assert (found.requests, found.requests_per_second, found.tokens_per_second) == (2, 4.0, 16.0)
    assert (found.first_p50_ms, found.answer_p50_ms) == pytest.approx((20, 300))
    write_csv([found], tmp_path / "summary.csv")
    (row,) = csv.DictReader((tmp_path / "summary.csv").open(encoding="utf-8"))
    assert (row["profile"], float(row["tokens_per_second"])) == ("name", 16.0)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (_request(0, []), "no response"),
        (_request(0, [1], tokens=3), "3 tokens"),
        (_request(0, [1], reason="cancelled"), "cancelled"),
    ],
)
def test_one_bad_request_fails_the_run(tmp_path: Path, bad: dict[str, object], problem: str) -> None:
    with pytest.raises(AnalyzerFailed, match=problem):
        summarise(_export(tmp_path, _request(0, [1]), bad), "name", 1, expected=2, tokens=4)


def test_missing_requests_fail_the_run(tmp_path: Path) -> None:
    with pytest.raises(AnalyzerFailed, match="1 of 2"):
        summarise(_export(tmp_path, _request(0, [1])), "name", 1, expected=2, tokens=4)
    with pytest.raises(AnalyzerFailed, match="no usable export"):
        summarise(tmp_path / "none.json", "name", 1, expected=2, tokens=4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("protocol: ftp", "protocol"),
        ("streaming: true", "streaming"),
        ("concurrency: [99]", "99 places"),
        ("surprise: 1", "surprise"),
    ],
)
def test_a_wrong_profile_is_named(tmp_path: Path, change: str, problem: str) -> None:
    key, _, value = change.partition(": ")
    values = {
        "model": "assistant",
        "protocol": "grpc",
        "prompts": "same",
        "prompt_tokens": "60",
        "new_tokens": "4",
        "concurrency": "[1]",
        "requests": "8",
    }
    values[key] = value
    file = tmp_path / "profiles.yaml"
    file.write_text("mine:\n" + "".join(f"  {k}: {v}\n" for k, v in values.items()), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"mine.*{problem}"):
        load_profiles(file)
