"""The README's commands, run as they stand there; only the ports are others."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import paths
from tests.stack import Stack

README = (paths.PROJECT / "README.md").read_text(encoding="utf-8")
START_SECONDS = 120
STOP_SECONDS = 60
MAKE_FAILED = 2
ANSWER = "The capital of France is Paris."


def indented_commands() -> list[str]:
    """The lines of the README's indented blocks, continued lines joined, comments cut."""
    blocks = re.findall(r"(?:^ {4}.*\n)+", README, flags=re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s{2,}#.*", "", line).strip() for line in lines]


def ports_of(stack: Stack, text: str) -> str:
    ports = {
        8000: stack.http_port,
        8001: stack.grpc_port,
        8002: stack.metrics_port,
        8080: stack.gateway_port,
        8081: stack.gateway_grpc_port,
    }
    for default, port in ports.items():
        text = text.replace(f"127.0.0.1:{default}", f"127.0.0.1:{port}")
    return text


def shell(command: str, env: dict[str, str] | None = None, status: int = 0) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=paths.PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_every_make_target_exists() -> None:
    named = set(re.findall(r"(?:^ {4}|`|[;,] )make ([a-z][a-z-]*)", README, flags=re.MULTILINE))
    listed = set(re.findall(r"^ +make ([a-z-]+)", shell("make help"), flags=re.MULTILINE))
    assert {"serve", "test", "up", "down", "status", "ask", "perf", "bench-core"} <= named
    assert named <= listed


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (paths.PROJECT / link).exists()]
    assert missing == []


def test_the_curl_line_streams_an_answer(stack: Stack) -> None:
    (curl,) = [command for command in indented_commands() if command.startswith("curl") and "…" not in command]
    events = shell(ports_of(stack, curl))
    text = "".join(re.findall(r'"content":"([^"]*)"', events))
    assert text == ANSWER
    assert events.endswith("data: [DONE]\n\n")


def test_the_tritonclient_example_prints_an_answer(stack: Stack) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", ports_of(stack, example)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{ANSWER}\n"


def test_status_and_ask_by_make(stack: Stack) -> None:
    assert shell("make status", stack.environment).startswith("ready")
    asked = shell('make ask Q="What is the capital of France?"', stack.environment)
    assert asked.strip().endswith(ANSWER)


def test_the_table_of_inputs_is_the_door_s(stack: Stack) -> None:
    table = README.partition("| input | type |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", table))
    config = (paths.PROJECT / "ensembles" / "assistant" / "config.pbtxt").read_text(encoding="utf-8")
    inputs = config.partition("input [")[2].partition("]\noutput")[0]
    assert named == set(re.findall(r'name: "([a-z_]+)"', inputs))


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """Not yet started; on the engine that starts in no time."""
    stack = Stack(HEADRACE_ENGINE__NAME="mock", HEADRACE_GATEWAY__ENABLED="true")
    yield stack
    stack.headrace("down", "--now")
    assert (stack.processes(), stack.segments()) == ([], [])
    shutil.rmtree(stack.folder.root)


def test_up_status_ask_and_down_by_make(own_stack: Stack) -> None:
    env = own_stack.environment
    assert shell("make status", env, status=MAKE_FAILED).startswith("stopped")
    up = shell("make up", env)
    assert f"http://127.0.0.1:{own_stack.http_port}" in up
    assert f"http://127.0.0.1:{own_stack.gateway_port}" in up
    (curl,) = re.findall(r"^curl .*$", up, flags=re.MULTILINE)
    assert '"content"' in shell(curl)
    assert shell("make status", env).startswith("ready")
    assert shell('make ask Q="What is the capital of France?"', env).strip()
    assert shell("make down", env) == "stopped\n"
    assert (own_stack.processes(), own_stack.segments()) == ([], [])
    assert shell("make down", env) == "not running\n"
    shell('make ask Q="Is anybody there?"', env, status=MAKE_FAILED)


def test_make_serve_prints_a_curl_line_that_works_and_ends_on_ctrl_c(own_stack: Stack, tmp_path: Path) -> None:
    output = tmp_path / "serve.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "serve"],
            cwd=paths.PROJECT,
            env=own_stack.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (lines := re.findall(r"^ *(curl .*)$", output.read_text(), flags=re.MULTILINE)):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        assert '"content"' in shell(lines[0])
        assert own_stack.processes()
        # As a terminal does it: the signal goes to make and to what it runs.
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    # make ends by the signal that it was sent, once what it ran has ended
    assert status == -signal.SIGINT, output.read_text()
    assert (own_stack.processes(), own_stack.segments()) == ([], [])
    said = output.read_text().partition("Ctrl-C drains and stops\n")[2]
    assert re.fullmatch(r"stopping; running requests have 30 s to end, .*\n(make: .* Interrupt\n)?", said), said
