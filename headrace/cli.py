"""The command `headrace`: serve, up, down, status, logs, ask, version."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from headrace import __version__, asking, config, paths
from headrace.audit.cli import app as audit_app
from headrace.cli_errors import EXIT_FAILED, one_line_errors
from headrace.client import Chunk, Question
from headrace.config import Config
from headrace.errors import ConfigError, StartupError
from headrace.gateway.cli import gateway
from headrace.guard.cli import app as guard_app
from headrace.serving import differences, health, stack
from headrace.serving.health import Health
from headrace.serving.probe import FIRST_QUESTION
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import Status, addresses
from headrace.tail import tail
from headrace.tenants.cli import app as tenants_app

EXIT_NOT_RUNNING = 3

app = typer.Typer(
    help="Headrace: an LLM serving platform on NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False, soft_wrap=True)

app.add_typer(guard_app, name="guard")
app.add_typer(tenants_app, name="tenant")
app.add_typer(audit_app, name="audit")
app.command()(gateway)

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Instead of the project's headrace.yaml.")]


@contextlib.contextmanager
def _signals_end_it() -> Iterator[None]:
    """SIGTERM, and SIGHUP when the terminal closes, end what runs here as Ctrl-C does: cleaned up."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in _ending_signals()}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending_signals() -> list[signal.Signals]:
    """Without those that are ignored, as SIGHUP is under `nohup`."""
    return [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]


async def _cancelled_by_signals(work: Coroutine[Any, Any, None]) -> None:
    """As asyncio does it for Ctrl-C. A handler that raises would end whichever task happens to run, and what
    cleans up after it would find it ended."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task
    received: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in _ending_signals():
        loop.add_signal_handler(number, end, number)
    try:
        await work
    except asyncio.CancelledError:
        if received:
            sys.exit(128 + received[0])
        raise


@app.command()
def serve(config_file: ConfigFile = None) -> None:
    """Run the stack in the foreground; Ctrl-C drains and stops, a second one stops at once."""
    with one_line_errors():
        settings = config.load(config_file)
        progress = console.status(f"starting {settings.engine.name} and Triton …")

        def on_ready(answer: Chunk, seconds: float) -> None:
            progress.stop()
            _print_ready(settings, answer, seconds)

        def on_stop() -> None:
            progress.stop()
            seconds = settings.server.drain_seconds
            console.print(f"stopping; running requests have {seconds:g} s to end, Ctrl-C again ends them at once")

        with progress if console.is_terminal else contextlib.nullcontext():
            stack.serve(settings, on_ready, on_stop)


@app.command()
def up(config_file: ConfigFile = None) -> None:
    """Start the stack in the background and wait until it has answered."""
    with one_line_errors(), _signals_end_it():
        settings = config.load(config_file)
        with console.status("starting …") if console.is_terminal else contextlib.nullcontext():
            status = stack.up(settings, config_file)
        folder = RunFolder.of(settings)
        if different := differences.found(folder, settings):
            raise StartupError(
                f"a stack runs here (pid {status.pid}) with other settings: {'; '.join(different)}; "
                "stop it first with `headrace down`, or choose another HTTP port"
            )
        _print_addresses(status.addresses, folder)
        console.print(f"running (pid {status.pid}); stop it with `headrace down`")


@app.command()
def down(
    config_file: ConfigFile = None,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for running requests.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every stack that runs, whatever its ports.")] = False,
) -> None:
    """Drain and stop the stack that runs in the background."""
    with one_line_errors():
        if not every:
            console.print("stopped" if stack.down(config.load(config_file), now) else "not running")
            return
        for settings in _running_stacks(config.load(config_file)):
            stack.down(settings, now)
            console.print(f"stopped the stack on port {settings.server.http_port}")


@app.command()
def status(
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seconds: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for an answer.")] = 10.0,
) -> None:
    """Ask the stack a real question and report on its parts.

    Exit code 0: ready. 1: running, not ready. 3: not running.
    """
    with one_line_errors():
        found = health.examine(config.load(config_file), seconds)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        _print_health(found)
    if not found.ready:
        raise typer.Exit(EXIT_NOT_RUNNING if found.state == "stopped" else EXIT_FAILED)


@app.command()
def logs(
    config_file: ConfigFile = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines back to start.")] = 50,
) -> None:
    """Show the log of the stack: JSON lines of every part."""
    with one_line_errors():
        file = RunFolder.of(config.load(config_file)).log_file
        for line in tail(file, lines, follow):
            typer.echo(line)


@app.command()
def ask(
    question: str,
    config_file: ConfigFile = None,
    max_tokens: Annotated[int | None, typer.Option(max=2**31 - 1, help="Longest answer, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest token.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**64 - 1, help="Makes a sampled answer repeatable.")
    ] = None,
    guard_policy: Annotated[
        str | None, typer.Option(help="Which policy of policy.yaml judges it; the default one.")
    ] = None,
    seconds: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for the whole answer.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Ask one question and print the answer as it comes; Ctrl-C stops it in the engine too."""
    wish = Question(
        text_input=question,
        max_tokens=max_tokens,
        temperature=temperature,
        random_seed=seed,
        guard_policy=guard_policy,
    )
    with one_line_errors(), _signals_end_it():
        connect = asking.client_of(config.load(config_file))
        asyncio.run(_cancelled_by_signals(asking.show(connect, wish, seconds, as_json)))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"headrace {__version__}")


def _running_stacks(settings: Config) -> Iterator[Config]:
    """The configurations of all stacks that run; `settings` for one whose own is not there or not readable."""
    for root in sorted(paths.run_folders().glob("[0-9]*")):
        folder = RunFolder(root)
        if not folder.locked():
            continue
        try:
            own = config.load(folder.config_file)
        except ConfigError:
            own = settings
        # Its folder says its port; the environment of this command may say another.
        yield own.model_copy(update={"server": own.server.model_copy(update={"http_port": int(root.name)})})


def _print_ready(settings: Config, answer: Chunk, seconds: float) -> None:
    console.print(f"[bold]{FIRST_QUESTION}[/bold] {escape(answer.text.strip())}")
    console.print(f"ready in {seconds:.1f} s: {settings.engine.name}, {escape(settings.engine.model.name)}")
    _print_addresses(addresses(settings), RunFolder.of(settings))
    console.print("Ctrl-C drains and stops")


def _print_addresses(found: Mapping[str, str], folder: RunFolder) -> None:
    names = {"gateway": "gateway", "http": "HTTP", "grpc": "gRPC", "metrics": "metrics"}
    lines = [f"  {shown:8} {found[name]}" for name, shown in names.items() if name in found]
    console.print("\n".join(lines))
    console.print(f"  log      {escape(str(folder.log_file))}")
    if "gateway" in found:
        messages = [{"role": "user", "content": FIRST_QUESTION}]
        body = json.dumps({"model": "assistant", "messages": messages, "max_tokens": 32, "stream": True})
        typer.echo(
            f"curl -N {found['gateway']}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
        )
        return
    body = json.dumps({"text_input": FIRST_QUESTION, "max_tokens": 32})
    typer.echo(f"curl -N {found['http']}/v2/models/assistant_stream/generate_stream -d '{body}'")


def _print_health(found: Health) -> None:
    console.print(found.state)
    if found.stack is not None:
        _print_parts(found.stack, found.resident_bytes)
    if found.inference is not None:
        done = found.inference
        console.print(
            f"  answer         {done.seconds * 1000:.0f} ms"
            if done.ok
            else f"  answer         none: {escape(done.problem or '')}"
        )
    if found.worker is not None:
        console.print("  worker         " + ", ".join(f"{name} {value}" for name, value in found.worker.items()))


def _print_parts(report: Status, resident_bytes: dict[str, int]) -> None:
    for name, part in report.parts.items():
        since = f"{time.time() - part.started_at:.0f} s" if part.started_at else "-"
        memory = resident_bytes.get(name, 0) / 2**20
        console.print(
            f"  {name:14} {part.state}, pid {part.pid or '-'}, up {since}, "
            f"{part.restarts} restarts, {memory:.0f} MiB"
        )
