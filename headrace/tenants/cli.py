"""`headrace tenant add | rotate | list | remove-key`: keys and tenants, by changing tenants.yaml in place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from headrace import cli_tables, paths
from headrace.cli_errors import one_line_errors
from headrace.cost.money import written
from headrace.errors import ConfigError
from headrace.tenants import change
from headrace.tenants.edit import Value
from headrace.tenants.file import KeySection, TenantSection, parse

app = typer.Typer(help="Who may ask, with which keys, and how much.", no_args_is_help=True)
console = cli_tables.console()

_FILE = paths.PROJECT / "tenants.yaml"
FileOption = Annotated[Path, typer.Option("--file", help="Instead of the project's tenants.yaml.")]


@app.command()
def add(
    name: str,
    file: FileOption = _FILE,
    display_name: Annotated[str | None, typer.Option()] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Of prompts and answers.")] = None,
    concurrent_requests: Annotated[int | None, typer.Option(min=1)] = None,
    max_output_tokens: Annotated[int | None, typer.Option(min=1, help="Of one request.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(metavar="AMOUNT/PERIOD", help="12.50/month; day, month or total.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="The only ones it may use; all, if not given.")] = None,
    guard_policy: Annotated[str | None, typer.Option()] = None,
    cache_scope: Annotated[str | None, typer.Option(help="Share cached answers with who names the same.")] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 comes first.")] = None,
    expires_days: Annotated[float | None, typer.Option(min=0, help="After which its key ends.")] = None,
) -> None:
    """Add a tenant; prints its first key, which is shown this once."""
    with one_line_errors():
        settings: dict[str, Value] = {
            "display_name": display_name,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "concurrent_requests": concurrent_requests,
            "max_output_tokens": max_output_tokens,
            "budgets": [_budget(one) for one in budget or ()],
            "models": [*(model or ())],
            "guard_policy": guard_policy,
            "cache_scope": cache_scope,
            "priority": priority,
        }
        given = {key: value for key, value in settings.items() if value not in (None, [])}
        now = _now()
        expires = None if expires_days is None else now + timedelta(days=expires_days)
        _show_key(change.add_tenant(file, name, given, now, expires))


@app.command()
def rotate(
    name: str,
    file: FileOption = _FILE,
    overlap_hours: Annotated[float, typer.Option(min=0, help="How long the old key is good yet.")] = 24.0,
) -> None:
    """Give a tenant a new key, printed this once, and let its old one end."""
    with one_line_errors():
        _show_key(change.rotate(file, name, _now(), timedelta(hours=overlap_hours)))


@app.command()
def remove_key(key_id: str, file: FileOption = _FILE) -> None:
    """Refuse a key from now on."""
    with one_line_errors():
        typer.echo(f"removed a key of {change.remove_key(file, key_id)}")


@app.command(name="list")
def list_tenants(
    file: FileOption = _FILE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Tenants, their limits and the ids of their keys."""
    with one_line_errors():
        said, now = parse(file), _now()
    table = Table("tenant", "requests/min", "tokens/min", "at once", "budgets", "key id", "created", "expires")
    for name, tenant in said.tenants.items():
        if as_json:
            typer.echo(json.dumps(_as_json(name, tenant, now)))
        for place, key in enumerate(tenant.keys or (None,)):
            cells = _limits(name, tenant) if place == 0 else [""] * 5
            table.add_row(*map(escape, [*cells, *_key_cells(key, now)]))
    if not as_json:
        console.print(table)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _show_key(key: str) -> None:
    typer.echo(key)
    typer.echo("Keep it now: only its hash is stored, and it cannot be shown again.", err=True)


def _budget(text: str) -> Value:
    amount, slash, period = text.partition("/")
    if not slash:
        raise ConfigError(f"--budget: expected an amount and a period such as 12.50/month, got {text!r}")
    return {"amount": amount, "period": period}


def _limits(name: str, tenant: TenantSection) -> list[str]:
    limits = (tenant.requests_per_minute, tenant.tokens_per_minute, tenant.concurrent_requests)
    budgets = ", ".join(f"{written(one.amount)}/{one.period}" for one in tenant.budgets)
    return [name, *("-" if limit is None else str(limit) for limit in limits), budgets or "-"]


def _key_cells(key: KeySection | None, now: datetime) -> list[str]:
    if key is None:
        return ["-", "", ""]
    expires = "never" if key.expires is None else _time(key.expires)
    return [key.id, _time(key.created), expires if key.is_live(now) else f"{expires} (expired)"]


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _as_json(name: str, tenant: TenantSection, now: datetime) -> dict[str, Any]:
    shown: dict[str, Any] = tenant.model_dump(mode="json", exclude={"keys", "budgets"}, exclude_unset=True)
    budgets = [{"amount": written(one.amount), "period": one.period} for one in tenant.budgets]
    keys = [{**key.model_dump(mode="json", exclude={"sha256"}), "live": key.is_live(now)} for key in tenant.keys]
    return {"tenant": name, **shown, "budgets": budgets, "keys": keys}
