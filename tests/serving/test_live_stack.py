"""The command line on real stacks."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from headrace import __version__
from headrace.worker import control
from tests.serving.conftest import MakeStack
from tests.serving.drill_stack import DrillStack


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> DrillStack:
    # No probe of the supervisor's own: tests count tokens and requests.
    return make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="5", HEADRACE_SERVER__PROBE_SECONDS="3600")


def network_warnings(stack: DrillStack) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in stack.folder.log_file.read_text("utf-8").splitlines()]
    return [event for event in events if "must not be reached from a network" in event["message"]]


def test_up_finds_the_running_stack(stack: DrillStack) -> None:
    pid = stack.folder.pid()
    again = stack.headrace("up")
    assert again.returncode == 0
    assert f"running (pid {pid})" in again.stdout
    assert "curl -N http://127.0.0.1:" in again.stdout
    serve = stack.headrace("serve")
    assert serve.returncode == 1
    assert serve.stderr == f"error: a stack already runs here (pid {pid}); stop it with `headrace down`\n"


def test_the_curl_line_works(stack: DrillStack) -> None:
    line = next(line for line in stack.headrace("up").stdout.splitlines() if line.startswith("curl"))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    chunks = [json.loads(part.removeprefix("data: ")) for part in done.stdout.split("\n\n") if part]
    assert "".join(chunk["text_output"] for chunk in chunks)
    assert chunks[-1]["finish_reason"] == "length"


def test_status_has_asked(stack: DrillStack) -> None:
    before = control.stats(stack.folder.socket, 5).engine.generated_tokens
    done = stack.headrace("status", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["ready"], found["state"], found["inference"]["ok"]) == (True, "ready", True)
    assert found["worker"]["generated_tokens"] == before + 1
    assert set(found["resident_bytes"]) == {"engine_worker", "tritonserver", "tritonserver_steps"}
    assert "ready" in stack.headrace("status").stdout


def test_a_status_that_cannot_ask_is_not_ready(stack: DrillStack) -> None:
    os.kill(stack.pid("engine_worker"), signal.SIGSTOP)
    try:
        done = stack.headrace("status", "--timeout", "0.5")
        assert done.returncode == 1
        assert "did not answer in time" in done.stdout
    finally:
        os.kill(stack.pid("engine_worker"), signal.SIGCONT)


def test_ask(stack: DrillStack) -> None:
    done = stack.headrace("ask", "one two three", "--max-tokens", "8", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["completion_tokens"], answer["finish_reason"]) == (8, "length")
    text = stack.headrace("ask", "one two three", "--max-tokens", "8")
    assert text.stdout == answer["text"] + "\n"


def test_a_wrong_question_is_one_line(stack: DrillStack) -> None:
    done = stack.headrace("ask", "x", "--max-tokens", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("error: max_tokens: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_interrupting_ask_stops_the_engine(stack: DrillStack, number: signal.Signals) -> None:
    before = control.stats(stack.folder.socket, 5)
    ask = subprocess.Popen(
        stack.command("ask", "word " * 100, "--max-tokens", "2000"),
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert ask.stdout is not None
    assert ask.stdout.read(1)
    stack.until(lambda stats: stats.live == before.live + 1, 10, "one request is live")
    ask.send_signal(number)
    _, errors = ask.communicate(timeout=20)
    assert (ask.returncode, errors) == (128 + number, b"")
    stack.until(
        lambda stats: (stats.live, stats.cancelled) == (before.live, before.cancelled + 1), 10, "it was cancelled"
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/logging", {"log_verbose_level": 9}),
        ("/v2/repository/index", {}),
        ("/v2/repository/models/assistant/unload", {}),
        ("/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]}),
        ("/v2/systemsharedmemory/region/x/register", {"key": "/x", "offset": 0, "byte_size": 1}),
    ],
)
def test_admin_apis_are_refused(stack: DrillStack, path: str, body: dict[str, object]) -> None:
    assert stack.get(path, body) == 403


def test_admin_apis_are_refused_over_grpc_even_with_what_ps_shows(stack: DrillStack) -> None:
    command = psutil.Process(stack.pid("tritonserver")).cmdline()
    flag = next(argument for argument in command if argument.startswith("--grpc-restricted-protocol="))
    key = flag.partition(":headrace-admin=")[2]
    with InferenceServerClient(stack.address) as client:
        for value in ("", "guess", key.replace("\n", ""), key.partition("\n")[0]):
            with pytest.raises(InferenceServerException, match="restricted"):
                client.unload_model("assistant", headers={"headrace-admin": value})
        with pytest.raises(InferenceServerException):
            client.unload_model("assistant", headers={"headrace-admin": key})
        assert client.is_model_ready("assistant")


def test_the_run_folder_is_private_and_the_log_is_json(stack: DrillStack) -> None:
    assert stack.folder.root.stat().st_mode & 0o077 == 0
    lines = stack.headrace("logs", "-n", "1000").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["part"] for event in events} >= {"supervisor", "tritonserver", "worker"}


def test_a_stack_on_loopback_has_nothing_to_warn_of(stack: DrillStack) -> None:
    assert network_warnings(stack) == []


def test_two_starts_at_once_beside_another_stack(stack: DrillStack, new_stack: MakeStack) -> None:
    other = new_stack()
    starts = [
        subprocess.Popen(other.command("up"), env=other.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [start.communicate(timeout=60)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0]
    assert all(f"running (pid {other.folder.pid()})" in text for text in said)
    assert stack.headrace("status").returncode == other.headrace("status").returncode == 0
    assert other.headrace("down").stdout == "stopped\n"
    assert other.is_clean()
    assert stack.headrace("status").returncode == 0
    assert other.headrace("status").returncode == 3
    assert other.headrace("down").stdout == "not running\n"


def test_a_taken_port_is_named_and_nothing_is_left(new_stack: MakeStack) -> None:
    stack = new_stack()
    with socket.create_server(("127.0.0.1", stack.grpc_port)):
        done = stack.headrace("up")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: port {stack.grpc_port} on 127.0.0.1 cannot be used: held by ")
    assert f"(pid {os.getpid()})" in done.stderr
    assert "TRITON_GRPC_PORT" in done.stderr
    assert done.stderr.count("\n") == 1
    assert stack.is_clean()


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_worker_that_cannot_start_is_one_line(command: str, new_stack: MakeStack, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="ascii")
    stack = new_stack(HEADRACE_ENGINE__MODEL=str(tmp_path))
    done = stack.headrace(command)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert str(tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert stack.is_clean()


def test_a_stack_on_ipv6(make_stack: MakeStack) -> None:
    stack = make_stack(HEADRACE_SERVER__HOST="::")
    (warning,) = network_warnings(stack)
    assert (warning["level"], warning["part"], warning["host"]) == ("warning", "supervisor", "::")
    assert "set server.host to 127.0.0.1 and put a gateway in front" in warning["message"]
    listening = psutil.Process(stack.pid("tritonserver")).net_connections("tcp")
    ports = {connection.laddr.port for connection in listening if connection.laddr.ip == "::"}
    assert ports == {stack.http_port, stack.grpc_port, stack.metrics_port}
    status = stack.headrace("status")
    assert status.returncode == 0, status.stdout
    assert f"curl -N http://[::1]:{stack.http_port}/" in stack.headrace("up").stdout
    stack.headrace("down", "--now")


def test_a_killed_supervisor_takes_everything_along(make_stack: MakeStack) -> None:
    stack = make_stack()
    supervisor = stack.folder.pid()
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while stack.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stack.processes() == []
    assert stack.headrace("status").returncode == 3
    assert stack.folder.socket.exists()  # what a kill leaves
    stack.up()
    assert stack.headrace("status").returncode == 0
    assert stack.headrace("down").stdout == "stopped\n"
    assert stack.is_clean()


def test_down_waits_for_a_stack_that_has_only_just_begun(new_stack: MakeStack) -> None:
    """It holds the lock, and its process id is not written yet."""
    stack = new_stack()
    stack.folder.create()
    with stack.folder.lock_file.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        down = subprocess.Popen(stack.command("down"), env=stack.environment, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            down.wait(3)
    assert down.communicate(timeout=20)[0] == "not running\n"


def test_version() -> None:
    assert DrillStack().headrace("version").stdout == f"headrace {__version__}\n"
