from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace.tenants import cli, file
from tests.tenants.made_up import GOOD, SECRET, hash_of, written

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = re.compile(r"hr_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_now", lambda: NOW)


def run(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.app, [*arguments, "--file", str(place)])


def test_a_new_tenants_key_is_alone_on_stdout_and_nowhere_in_the_file(tmp_path: Path) -> None:
    place = written(tmp_path)
    done = run(
        place, "add", "gamma", "--display-name", "Gamma Ltd", "--requests-per-minute", "5",
        "--tokens-per-minute", "1000", "--concurrent-requests", "2", "--budget", "12.50/month",
        "--budget", "1/day", "--model", "assistant", "--priority", "1", "--max-output-tokens", "64",
        "--cache-scope", "friends", "--guard-policy", "strict", "--expires-days", "30",
    )  # fmt: skip
    assert (done.exit_code, done.stderr) == (
        0,
        "Keep it now: only its hash is stored, and it cannot be shown again.\n",
    )
    key = done.stdout.removesuffix("\n")
    assert KEY.fullmatch(key)
    assert key[-43:] not in place.read_text()
    tenants = file.read(place)
    assert tenants.keys.find(key, NOW.timestamp() + 30 * 86_400 - 1).expires == NOW.timestamp() + 30 * 86_400
    settings = tenants.settings["gamma"]
    assert (settings.display_name, settings.requests_per_minute, settings.tokens_per_minute) == (
        "Gamma Ltd",
        5,
        1000,
    )
    assert (settings.concurrent_requests, settings.max_output_tokens, settings.priority) == (2, 64, 1)
    assert [(one.amount, one.period) for one in settings.budgets] == [
        (12_500_000_000, "month"),
        (10**9, "day"),
    ]
    assert (settings.models, settings.guard_policy, settings.cache_scope) == (
        frozenset({"assistant"}),
        "strict",
        "shared:friends",
    )


def test_a_rotation_leaves_the_old_key_a_day(tmp_path: Path) -> None:
    place = written(tmp_path)
    new = run(place, "rotate", "acme").stdout.strip()
    tenant = file.parse(place).tenants["acme"]
    assert [key.expires for key in tenant.keys] == [NOW + timedelta(hours=24), None]
    done = run(place, "rotate", "acme")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has 2 live keys already" in done.stderr
    assert run(place, "remove-key", "aaaa1111").stdout == "removed a key of acme\n"
    newest = run(place, "rotate", "acme", "--overlap-hours", "0").stdout.strip()
    ring = file.read(place).keys
    assert ring.find(newest, NOW.timestamp()).settings.tenant == "acme"
    with pytest.raises(Exception, match="has expired"):
        ring.find(new, NOW.timestamp())


def test_the_list_shows_ids_and_ends_but_no_hashes(tmp_path: Path) -> None:
    place = written(tmp_path, GOOD.replace("2026-06-01", "2026-02-01") + "  gamma:\n")
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["list", "--file", str(place)]).stdout
    for part in (
        "acme",
        "aaaa1111",
        "60",
        "100000",
        "12.50/month",
        "never",
        "2026-02-01 12:00:00Z (expired)",
        "gamma",
    ):
        assert part in shown, part
    lines = [json.loads(line) for line in run(place, "list", "--json").stdout.splitlines()]
    assert [line["tenant"] for line in lines] == ["acme", "beta", "gamma"]
    assert lines[0]["budgets"] == [{"amount": "12.50", "period": "month"}]
    assert lines[0]["keys"] == [
        {"id": "aaaa1111", "created": "2026-01-01T00:00:00Z", "expires": None, "live": True}
    ]
    assert lines[1]["keys"][0]["live"] is False
    assert hash_of("aaaa1111") not in shown + json.dumps(lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "acme"], "tenant acme is there already"),
        (["add", "gamma", "--budget", "12.50"], "--budget: expected an amount and a period such as 12.50/month"),
        (["add", "gamma", "--budget", "x/month"], "expected an amount in quotes"),
        (["add", "gamma", "--budget", "1/week"], "'day', 'month' or 'total'"),
        (["rotate", "gamma"], "no tenant gamma; there are acme, beta"),
        (["remove-key", "0000"], "no key 0000"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(tmp_path: Path, arguments: list[str], says: str) -> None:
    place = written(tmp_path)
    done: Any = run(place, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert place.read_text() == GOOD
    assert SECRET not in done.stderr
