"""What a user gets wrong on the command line or in the environment is one line, never a stack trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def headrace(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        env=os.environ | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("status",), {"HEADRACE_ENGINE": "mock"}, b"HEADRACE_ENGINE__NAME"),
        (("status",), {"HEADRACE_HOME": "/dev/null"}, b"set HEADRACE_HOME to a folder of yours"),
        (("ask", b"\xff\xfe"), {}, b"text_input: not valid UTF-8"),
    ],
)
def test_it_is_one_line(arguments: tuple[str | bytes, ...], environment: dict[str, str], says: bytes) -> None:
    done = headrace(*arguments, **environment)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--seed", "99999999999999999999999"), ("--max-tokens", "99999999999")]
)
def test_a_number_out_of_range_names_its_option(option: str, value: str) -> None:
    done = headrace("ask", "hi", option, value)
    assert done.returncode == 2
    assert option.encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_emptied_section_means_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "headrace.yaml").write_text("server: null\nengine:\n", encoding="utf-8")
    done = headrace("status", "--config", str(tmp_path / "headrace.yaml"), TRITON_HTTP_PORT="29999")
    assert done.returncode == 3, done.stderr
