from __future__ import annotations

import json
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from headrace import logs
from headrace.serving.log_file import LogFile, parse


def test_tritons_own_lines() -> None:
    line = '2026-11-23T20:57:54Z W 3388 server.cc:241] "no \\"driver\\""'
    assert parse("tritonserver", line) == {
        "ts": "2026-11-23T20:57:54Z",
        "level": "warning",
        "part": "tritonserver",
        "message": 'no "driver"',
        "source": "server.cc:241",
    }


@pytest.mark.parametrize(
    "message",
    [
        '"CudaDriverHelper has not been initialized."',
        '"unable to create stream for assistant: CUDA driver version is insufficient for CUDA runtime version"',
        '""',
    ],
)
def test_what_a_server_without_a_gpu_always_says_is_no_error(message: str) -> None:
    assert parse("tritonserver", f"2026-11-23T20:57:54Z E 3388 server.cc:241] {message}")["level"] == "debug"


def test_json_lines_keep_what_they_say() -> None:
    event = parse("worker", '{"message": "ready", "level": "error", "tokens": 3}')
    assert (event["message"], event["level"], event["tokens"], event["part"]) == ("ready", "error", 3, "worker")


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("plain words", "info"),
        ("error: no model", "error"),
        ("| Model | READY |", "debug"),
        ("{broken", "info"),
        ("[1]", "info"),
    ],
)
def test_anything_else_is_a_message(line: str, level: str) -> None:
    event = parse("worker", line)
    assert (event["message"], event["level"]) == (line, level)


@given(st.text())
def test_every_line_becomes_an_object_of_one_line(line: str) -> None:
    event = parse("worker", line)
    assert {"ts", "level", "part", "message"} <= event.keys()
    assert "\n" not in json.dumps(event)


def test_the_file_is_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.serving.log_file._ROTATE_BYTES", 1000)
    log_file = LogFile(tmp_path / "log.jsonl")
    for number in range(100):
        log_file.write_raw("worker", f"line {number}")
    log_file.write_raw("worker", "   ")
    log_file.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log.jsonl", "log.jsonl.1", "log.jsonl.2", "log.jsonl.3"]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert json.loads(files[0].read_text("utf-8").splitlines()[-1])["message"] == "line 99"


def test_a_line_nested_too_deep_is_a_message() -> None:
    line = '{"a":' * 100_000
    assert parse("worker", line)["message"] == line
    event = parse("tritonserver", f"2026-11-23T20:57:54Z E 3388 server.cc:241] {'[' * 100_000}")
    assert (event["level"], event["message"]) == ("error", "[" * 100_000)


def test_what_can_be_read_but_not_written_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    monkeypatch.setattr("headrace.serving.log_file.parse", lambda _part, _line: {"message": deep})
    log_file = LogFile(tmp_path / "log.jsonl")
    log_file.write_raw("worker", "deep")
    log_file.close()
    assert json.loads((tmp_path / "log.jsonl").read_text("utf-8"))["message"] == "deep"


def test_a_lone_surrogate_does_not_stop_the_log(tmp_path: Path) -> None:
    log_file = LogFile(tmp_path / "log.jsonl")
    log_file.write('{"message": "\udcff"}')
    log_file.close()
    assert json.loads((tmp_path / "log.jsonl").read_text("utf-8"))["message"] == "?"


def test_our_own_events_are_json_lines() -> None:
    lines: list[str] = []
    before = structlog.get_config()
    try:
        logs.configure("supervisor", lines.append)
        structlog.get_logger().warning("restart", of="worker", folder=Path("/x"))
    finally:
        structlog.configure(**before)
    event = json.loads(lines[0])
    assert event.pop("ts").endswith("Z")
    assert event == {
        "level": "warning",
        "part": "supervisor",
        "message": "restart",
        "of": "worker",
        "folder": "/x",
    }


def test_a_full_disk_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    log_file = LogFile(Path("/dev/full"))
    for _ in range(3):
        log_file.write("{}")
    assert capsys.readouterr().err == "warning: the log is not written: [Errno 28] No space left on device\n"
