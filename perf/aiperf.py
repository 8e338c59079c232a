"""`make aiperf`: NVIDIA's aiperf, which streams chats through the gateway that runs."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headrace import config as configuration
from headrace import paths
from headrace.config import API_KEY_ENV
from headrace.errors import HeadraceError, StartupError
from headrace.serving.status import addresses
from perf import records
from perf.prompts import PromptMaker
from perf.stack import end_on_sigterm

RESULTS = records.RESULTS.parent / "aiperf"
_REPORT = "profile_export_aiperf.json"
# A run ends by its count of requests; this only cuts what hangs.
_RUN_SECONDS = 600
# With these it looks for the tokenizer in Hugging Face's cache alone, not in the folder that it is given.
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class AiperfFailed(HeadraceError):
    """aiperf failed, or a request of its load did."""


@dataclass(frozen=True, slots=True)
class Load:
    concurrency: int
    requests: int
    prompt_tokens: int
    new_tokens: int


class _Figure(msgspec.Struct, frozen=True):
    avg: float
    min: float | None = None


class Report(msgspec.Struct, frozen=True):
    """The part of aiperf's report that says whether it is one. Milliseconds."""

    was_cancelled: bool
    request_count: _Figure
    """Those that were answered."""
    output_sequence_length: _Figure
    """Tokens, by the gateway's count."""
    time_to_first_token: _Figure
    request_latency: _Figure


def run(url: str, model: Path, load: Load, results: Path, key: str | None = None) -> Report:
    """`model` is the folder with the tokenizer. aiperf prints its tables, and leaves its files in the results.

    Raises `StartupError` when it is not installed, `AiperfFailed` unless every answer came and is of full length.
    """
    program = _program()
    (results / _REPORT).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="headrace-perf-") as folder:
        prompts = Path(folder) / "prompts.jsonl"
        _write_prompts(prompts, model, load)
        _call([str(program), "profile", *_arguments(url, model, prompts, load, results, key)])
    try:
        report = msgspec.json.decode((results / _REPORT).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise AiperfFailed(f"aiperf wrote no usable report: {error}; see {results}") from None
    if report.was_cancelled or report.request_count.avg < load.requests:
        raise AiperfFailed(
            f"{report.request_count.avg:.0f} of {load.requests} requests were answered; see {results}"
        )
    if report.output_sequence_length.min != load.new_tokens:
        found = report.output_sequence_length.min
        raise AiperfFailed(f"an answer had {found} tokens instead of {load.new_tokens}; see {results}")
    return report


def _program() -> Path:
    program = paths.home() / "aiperf" / "bin" / "aiperf"
    if not program.exists():
        raise StartupError("aiperf is not installed; run `make setup-aiperf`")
    return program


def _write_prompts(file: Path, model: Path, load: Load) -> None:
    """Ours: its own are pieces of old plays, more than half of which our guards take for injections."""
    maker = PromptMaker(model, random.SystemRandom().getrandbits(32))
    prompts = maker.make(load.requests, load.prompt_tokens)
    file.write_bytes(b"".join(msgspec.json.encode({"text": prompt.text}) + b"\n" for prompt in prompts))


def _arguments(url: str, model: Path, prompts: Path, load: Load, results: Path, key: str | None) -> list[str]:
    return [
        *("--model", "assistant"),
        *("--endpoint-type", "chat"),
        "--streaming",
        *("--url", url),
        *("--tokenizer", str(model)),
        "--use-server-token-count",
        *("--concurrency", str(load.concurrency)),
        *("--request-count", str(load.requests)),
        *("--input-file", str(prompts)),
        *("--custom-dataset-type", "single-turn"),
        *("--osl", str(load.new_tokens)),
        *("--extra-inputs", f"min_tokens:{load.new_tokens}"),
        *("--output-artifact-dir", str(results)),
        *("--ui", "none"),
        "--no-gpu-telemetry",
        *(("--api-key", key) if key else ()),
    ]


def _call(command: Sequence[str]) -> None:
    """It has many processes: they end with it."""
    environment = {name: value for name, value in os.environ.items() if name not in _OFFLINE}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            code = process.wait(_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise AiperfFailed(f"aiperf did not end within {_RUN_SECONDS} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if code:
        raise AiperfFailed(f"aiperf ended with code {code}; what it said stands above")


def _configured() -> str:
    found = addresses(configuration.load()).get("gateway")
    if found is None:
        raise StartupError("the configuration has no gateway: set gateway.enabled to true, or give --url URL")
    return found


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="perf.aiperf", description=__doc__)
    parser.add_argument("--url", help="of the gateway (the configuration's)")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at once (8)")
    parser.add_argument("--requests", type=int, default=64, help="in all (64)")
    parser.add_argument("--prompt-tokens", type=int, default=241, help="of each prompt (241)")
    parser.add_argument("--new-tokens", type=int, default=64, help="of each answer (64)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for its files")
    options = parser.parse_args()
    load = Load(options.concurrency, options.requests, options.prompt_tokens, options.new_tokens)
    try:
        model = configuration.load().engine.model
        run(options.url or _configured(), model, load, options.results, os.environ.get(API_KEY_ENV))
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
