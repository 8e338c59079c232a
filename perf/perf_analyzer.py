"""`make perf`: NVIDIA's perf_analyzer against both doors, over HTTP and gRPC; `--gateway`: through the gateway."""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from headrace import config as configuration
from headrace.build.triton import PerfAnalyzer
from headrace.config import API_KEY_ENV, Config
from headrace.errors import HeadraceError, StartupError
from headrace.serving.status import addresses
from perf import records
from perf.analyzer_export import AnalyzerFailed, Summary, summarise
from perf.analyzer_profile import GATEWAY_PROFILES, PROFILES, Profile, load_profiles
from perf.prompts import PromptMaker
from perf.stack import end_on_sigterm, running

RESULTS = records.RESULTS.parent / "perf_analyzer"
# A run ends by its count of requests; this only cuts what hangs.
_RUN_SECONDS = 600
console = Console(highlight=False)


class Analyzer:
    """Runs perf_analyzer against one server."""

    def __init__(self, http: str, grpc: str, model: Path, results: Path, key: str | None = None) -> None:
        """`http` and `grpc` are HOST:PORT, `model` is the folder with the tokenizer, `key` is for the gateway.

        Raises `StartupError` when perf_analyzer was not fetched.
        """
        self._program = PerfAnalyzer.locate()
        self._addresses = {"http": http, "grpc": grpc}
        self._prompts = PromptMaker(model, random.SystemRandom().getrandbits(32))
        self._results = results
        # It takes a header from its command line only, where this machine's users can read it while it runs.
        self._headers = ["-H", f"authorization: Bearer {key}"] if key else []

    def run(self, name: str, profile: Profile, concurrency: int) -> Summary:
        """One run with new prompts: those of an earlier one are in the response cache.

        Leaves perf_analyzer's own CSV in the results. Raises `AnalyzerFailed`.
        """
        self._results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="headrace-perf-") as folder:
            data, export = Path(folder) / "data.json", Path(folder) / "export.json"
            self._write_data(profile, data)
            report = self._results / f"{name}-{concurrency}.csv"
            command = [
                str(self._program.executable),
                *self._arguments(profile, concurrency),
                f"--input-data={data}",
                f"--profile-export-file={export}",
                *("-f", str(report)),
            ]
            self._call(name, command)
            return summarise(export, name, concurrency, profile.requests, profile.new_tokens)

    def _arguments(self, profile: Profile, concurrency: int) -> list[str]:
        return [
            *("-m", profile.model),
            *("-i", profile.protocol),
            *("-u", self._addresses[profile.protocol]),
            f"--concurrency-range={concurrency}",
            # A fixed count instead of windows that are to become stable: on a shared machine they rarely do.
            f"--request-count={profile.requests}",
            *(["--streaming"] if profile.streaming else []),
            *self._headers,
        ]

    def _write_data(self, profile: Profile, file: Path) -> None:
        # Each place of the loop may have sent one request more than is counted.
        count = 1 if profile.prompts == "same" else profile.requests + max(profile.concurrency)
        prompts = self._prompts.make(count, profile.prompt_tokens)
        length = [profile.new_tokens]
        entries = [{"text_input": [p.text], "max_tokens": length, "min_tokens": length} for p in prompts]
        file.write_bytes(msgspec.json.encode({"data": entries}))

    def _call(self, name: str, command: list[str]) -> None:
        try:
            done = subprocess.run(
                command,
                env=self._program.environment(),
                capture_output=True,
                text=True,
                timeout=_RUN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AnalyzerFailed(f"{name}: perf_analyzer did not end within {_RUN_SECONDS} s") from None
        if done.returncode:
            lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            last = lines[-1] if lines else "no message"
            raise AnalyzerFailed(f"{name}: perf_analyzer ended with code {done.returncode}: {last}")


def write_csv(summaries: Sequence[Summary], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Summary)])
        writer.writeheader()
        writer.writerows(asdict(summary) for summary in summaries)


def show(summaries: Sequence[Summary]) -> None:
    table = Table("profile", "C", "requests", "requests/s", "tokens/s", "first p50/p95 ms", "answer p50/p95 ms")
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for s in summaries:
        counts = [
            str(s.concurrency),
            str(s.requests),
            f"{s.requests_per_second:.1f}",
            f"{s.tokens_per_second:.0f}",
        ]
        first = f"{s.first_p50_ms:.1f} / {s.first_p95_ms:.1f}"
        table.add_row(s.profile, *counts, first, f"{s.answer_p50_ms:.1f} / {s.answer_p95_ms:.1f}")
    console.print(table)


@contextlib.contextmanager
def _served(use_running: bool, gateway: bool) -> Iterator[Config]:
    """The configuration of the stack to measure: the user's own that runs, or one started for this."""
    config = configuration.load()
    if use_running:
        yield config
        return
    with running(config, gateway=gateway) as stack:
        yield stack.config


def _places(config: Config, gateway: bool) -> tuple[str, str]:
    """HOST:PORT for HTTP and for gRPC. Raises `StartupError`."""
    found = addresses(config)
    if gateway and "gateway" not in found:
        raise StartupError("the configuration has no gateway: set gateway.enabled to true, or leave out --gateway")
    http, grpc = ("gateway", "gateway_grpc") if gateway else ("http", "grpc")
    return found[http].removeprefix("http://"), found[grpc]


def measure(chosen: dict[str, Profile], options: argparse.Namespace) -> int:
    """Run them all; a run that fails does not keep the others from running. Returns how many failed."""
    summaries: list[Summary] = []
    failures = 0
    with _served(options.running, options.gateway) as config:
        key = os.environ.get(API_KEY_ENV) if options.gateway else None
        analyzer = Analyzer(*_places(config, options.gateway), config.engine.model, options.results, key)
        for name, profile in chosen.items():
            for concurrency in profile.concurrency:
                console.print(f"[dim]{name}, concurrency {concurrency}[/dim]")
                try:
                    summaries.append(analyzer.run(name, profile, concurrency))
                except AnalyzerFailed as error:
                    failures += 1
                    print(f"error: {error}", file=sys.stderr)
    write_csv(summaries, options.results / "summary.csv")
    show(summaries)
    return failures


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="perf", description=__doc__)
    parser.add_argument("--profile", action="append", help="a name in the profiles; may be given again")
    parser.add_argument("--profiles", type=Path, help="the file with the profiles")
    parser.add_argument("--running", action="store_true", help="measure the stack that runs, start none")
    parser.add_argument(
        "--gateway", action="store_true", help=f"through its gateway, as {API_KEY_ENV} if that is set"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the CSV files")
    options = parser.parse_args()
    try:
        known = load_profiles(options.profiles or (GATEWAY_PROFILES if options.gateway else PROFILES))
        if unknown := set(options.profile or ()) - known.keys():
            parser.error(f"--profile: no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        chosen = {name: known[name] for name in options.profile or known}
        return 1 if measure(chosen, options) else 0
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
