"""`headrace audit verify | query | totals`: the audit log without a gateway.

Exit codes: 1 when a verification finds something, 2 for a mistake in the arguments or a log that cannot be read.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from headrace import cli_tables
from headrace.audit.chain import Position
from headrace.audit.config import KEY_ENV, key_of
from headrace.audit.query import Filter
from headrace.audit.query import query as matching
from headrace.audit.query import totals as add_up
from headrace.audit.record import AuditLine, Outcome
from headrace.audit.verify import Report
from headrace.audit.verify import verify as examine
from headrace.errors import HeadraceError, InvalidRequest

EXIT_FOUND = 1
EXIT_MISTAKE = 2
NANO = 1_000_000_000
"""Parts of a currency's unit in which costs are counted."""

app = typer.Typer(help="Verify, search and add up the audit log.", no_args_is_help=True)
console = cli_tables.console()

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the log's segments.")]
SinceOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only from this time on: 2026-01-31, or with a time; UTC.")
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only before this time.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command()
def verify(
    folder: FolderArgument,
    key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Variable with the key; unset: the log has none.")
    ] = KEY_ENV,
    first: Annotated[
        int, typer.Option(min=1, help="The log begins with this line; older segments were moved away.")
    ] = 1,
    noted: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER:HASH", help="A position noted earlier that the log must still hold."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Whether any line was changed, dropped, moved, repeated or cut off. Exit code 1 when something is found."""
    with _one_line_mistakes():
        positions = [_position(text) for text in noted or ()]
        key = _key(key_env)
        report = examine(folder, key, first=first, noted=positions)
    if as_json:
        typer.echo(json.dumps(_report(report)))
    else:
        _show(report)
    if not report.intact:
        raise typer.Exit(EXIT_FOUND)


@app.command()
def query(
    folder: FolderArgument,
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: Annotated[str | None, typer.Option()] = None,
    request_id: Annotated[str | None, typer.Option()] = None,
    outcome: Annotated[str | None, typer.Option(help="Such as ok, blocked or budget.")] = None,
    model: Annotated[str | None, typer.Option()] = None,
    min_cost: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Such as 0.01.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows of the table.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """The records that fit all of what is given, in the order in which the requests ended."""
    table = Table("line", "time", "request", "tenant", "model", "tokens", "cost", "cache", "ms", "outcome")
    with _one_line_mistakes():
        wanted = Filter(
            _time("--since", since),
            _time("--until", until),
            tenant,
            request_id,
            _outcome(outcome),
            model,
            _nanos(min_cost),
        )
        for line in matching(folder, wanted):
            if as_json:
                typer.echo(msgspec.json.encode(line))
            elif table.row_count == limit:
                table.caption = f"the first {limit}; there are more: give --limit, or --json for all"
                break
            else:
                table.add_row(*map(_plain, _cells(line)))
    if not as_json:
        console.print(table)


@app.command()
def totals(
    folder: FolderArgument, since: SinceOption = None, until: UntilOption = None, as_json: JsonOption = False
) -> None:
    """Requests, tokens and cost of each tenant."""
    table = Table("tenant", "requests", "prompt tokens", "completion tokens", "cost")
    with _one_line_mistakes():
        for one in add_up(folder, _time("--since", since), _time("--until", until)):
            if as_json:
                typer.echo(json.dumps(asdict(one)))
            else:
                counts = (one.requests, one.prompt_tokens, one.completion_tokens)
                table.add_row(_plain(one.tenant or "-"), *map(str, counts), _money(one.cost, one.currency))
    if not as_json:
        console.print(table)


@contextlib.contextmanager
def _one_line_mistakes() -> Iterator[None]:
    try:
        yield
    except HeadraceError as error:
        problem = str(error)
    except OSError as error:
        if error.filename is None:  # a closed pipe, which typer knows how to take
            raise
        problem = f"{error.filename}: {error.strerror}"
    else:
        return
    typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(EXIT_MISTAKE)


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(option, f"{text!r} is no time; give one such as 2026-01-31T23:59:00Z") from None


def _outcome(text: str | None) -> Outcome | None:
    if text is None:
        return None
    known: tuple[Outcome, ...] = get_args(Outcome)
    for outcome in known:
        if text == outcome:
            return outcome
    raise InvalidRequest("--outcome", f"no outcome {text!r}; there are {', '.join(known)}")


def _nanos(text: str | None) -> int | None:
    """Rounded down, so that no record that reaches the amount is left out."""
    if text is None:
        return None
    try:
        return int(Decimal(text) * NANO)
    except (ArithmeticError, ValueError):
        raise InvalidRequest("--min-cost", f"{text!r} is no amount; give one such as 0.01") from None


def _key(name: str) -> bytes | None:
    key = key_of(name)
    if key is None and name != KEY_ENV:
        raise InvalidRequest("--key-env", f"{name!r} is not set; give the name of the variable with the key")
    return key


def _position(text: str) -> Position:
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise InvalidRequest("--noted", f"{text!r} is no position; give one as `verify` prints it")
    return Position(int(found[1]), found[2])


def _money(nanos: int, currency: str) -> str:
    """Exact: no part is rounded away."""
    sign, (units, parts) = "-" if nanos < 0 else "", divmod(abs(nanos), NANO)
    return f"{sign}{units}.{parts:09} {currency}"


def _plain(text: str) -> Text:
    """Clients choose some of it: neither rich nor the terminal takes it for more than text."""
    return Text("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text))


def _cells(line: AuditLine) -> list[str]:
    total = line.latency_ms.total
    return [
        str(line.sequence),
        line.time,
        line.request_id,
        line.tenant or "-",
        line.model or "-",
        f"{line.prompt_tokens} + {line.completion_tokens}",
        _money(line.cost, line.currency),
        line.cache,
        "-" if total is None else f"{total:.1f}",
        line.outcome,
    ]


def _report(report: Report) -> dict[str, Any]:
    return {
        "intact": report.intact,
        "segments": report.segments,
        "lines": report.lines,
        "last": str(report.last),
        "unconfirmed": report.unconfirmed,
        "counts": dict(report.counts),
        "findings": [asdict(finding) for finding in report.findings],
        "losses": [
            {"file": loss.file, "line": loss.line} | msgspec.to_builtins(loss.recovered) for loss in report.losses
        ],
    }


def _show(report: Report) -> None:
    for loss in report.losses:
        lost = loss.recovered
        what = f"{lost.lost_bytes} bytes of unfinished lines and {lost.lost_records} confirmed records were lost"
        console.print(f"{loss.file}:{loss.line}: opened anew at {lost.time}: {what}", markup=False, soft_wrap=True)
    if report.findings:
        table = Table("file", "line", "found", "what", box=None)
        for finding in report.findings:
            line = "" if finding.line is None else str(finding.line)
            table.add_row(*map(_plain, (finding.file, line, finding.kind, finding.problem)))
        console.print(table)
    if (untold := report.counts.total() - len(report.findings)) > 0:
        console.print(f"and {untold} more")
    state = "intact" if report.intact else f"NOT intact, findings: {report.counts.total()}"
    after = f", {report.unconfirmed} of them after the head" if report.unconfirmed else ""
    console.print(f"{state}; {report.lines} lines in {report.segments} segments{after}", soft_wrap=True)
    if report.intact:
        console.print(f"last line, to be noted elsewhere: {report.last}", soft_wrap=True)
