"""`headrace audit`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.audit.cli import app
from headrace.audit.config import KEY_ENV
from tests.audit.logs import KEY, record, segments_of, write

HUNDRED = 100_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "audit"
    write(folder, [record(number, cost=HUNDRED + number) for number in range(6)])
    return folder


def called(*arguments: str | Path, key: bytes | None = KEY) -> Result:
    environment = {KEY_ENV: None if key is None else key.decode(), "COLUMNS": "200"}
    return CliRunner().invoke(app, list(map(str, arguments)), env=environment)


def test_an_intact_log_is_said_to_be_so_with_the_position_to_note(log: Path) -> None:
    done = called("verify", log)
    assert done.exit_code == 0
    assert "intact; 6 lines" in done.output
    noted = done.output.split()[-1]
    assert noted.startswith("6:")
    assert called("verify", log, "--noted", noted).exit_code == 0
    write(log, [record(9)])
    assert called("verify", log, "--noted", noted).exit_code == 0
    assert called("verify", log, "--noted", f"6:{'0' * 64}").exit_code == 1


def test_a_finding_names_file_and_line_and_ends_with_1(log: Path) -> None:
    file = segments_of(log)[0]
    file.write_bytes(file.read_bytes().replace(b"tenant-1", b"tenant-2"))
    done = called("verify", log)
    assert done.exit_code == 1
    assert "NOT intact, findings: 1" in done.output
    said = json.loads(called("verify", log, "--json").output)
    assert said["intact"] is False
    assert said["findings"] == [
        {"kind": "changed", "file": file.name, "line": 2, "problem": "does not fit its hash"}
    ]
    for part in (file.name, "changed", "does not fit its hash"):
        assert part in done.output


def test_a_loss_is_told_and_is_no_finding(log: Path) -> None:
    with segments_of(log)[-1].open("ab") as file:
        file.write(b"torn")
    assert called("verify", log).exit_code == 1
    write(log, [record(9)])
    done = called("verify", log)
    assert done.exit_code == 0
    assert "4 bytes of unfinished lines and 0 confirmed records were lost" in done.output
    (loss,) = json.loads(called("verify", log, "--json").output)["losses"]
    assert (loss["lost_bytes"], loss["head"], loss["kept"]) == (4, "ok", "unfinished-000000000007.bin")


def test_the_key_is_read_from_the_named_variable(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", KEY.decode())
    assert called("verify", log, "--key-env", "OTHER", key=None).exit_code == 0
    done = called("verify", log, key=None)
    assert done.exit_code == 1
    assert "not the key" in done.output


def test_query_prints_what_fits(log: Path) -> None:
    done = called("query", log, "--tenant", "tenant-1", "--since", "2026-03-01T12:00:02Z", "--json")
    assert done.exit_code == 0
    (line,) = map(json.loads, done.output.splitlines())
    assert (line["request_id"], line["sequence"], line["cost"]) == ("request-4", 5, HUNDRED + 4)
    table = called("query", log, "--min-cost", "100.000000004").output
    assert "100.000000004 USD" in table
    assert "100.000000005 USD" in table
    assert "100.000000003 USD" not in table


def test_a_table_that_is_cut_off_says_so(log: Path) -> None:
    assert "there are more" in called("query", log, "--limit", "5").output
    assert "there are more" not in called("query", log, "--limit", "6").output


def test_totals_are_exact(log: Path) -> None:
    one = json.loads(called("totals", log, "--json").output.splitlines()[1])
    assert one == {
        "tenant": "tenant-1", "currency": "USD", "requests": 2, "prompt_tokens": 5, "completion_tokens": 10,
        "cost": 200_000_000_005,
    }  # fmt: skip
    assert "200.000000005 USD" in called("totals", log).output
    assert (
        json.loads(called("totals", log, "--until", "2026-03-01T12:00:01+00:00", "--json").output)["requests"] == 1
    )


def test_what_clients_choose_is_shown_as_text_and_does_nothing(tmp_path: Path) -> None:
    write(tmp_path, [record(1, tenant="[red]x[/red]", request_id="a\x1b[2Jb\nc")])
    done = called("query", tmp_path)
    assert "[red]x[/red]" in done.output
    assert r"a\x1b[2Jb\nc" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "none"), "none: no such folder"),
        (("query", "none"), "none: no such folder"),
        (("totals", "none"), "none: no such folder"),
        (("verify", ".", "--noted", "7"), "--noted: '7' is no position"),
        (("query", ".", "--since", "yesterday"), "--since: 'yesterday' is no time; give one such as 2026-01-31"),
        (("query", ".", "--until", "0001-01-01T00:00+10:00"), "--until: '0001"),
        (("query", ".", "--outcome", "good"), "--outcome: no outcome 'good'; there are ok, blocked"),
        (("query", ".", "--min-cost", "much"), "--min-cost: 'much' is no amount"),
        (("query", ".", "--min-cost", "inf"), "--min-cost: 'inf' is no amount"),
        (("query", ".", "--min-cost", "1e9999999"), "--min-cost: '1e9999999' is no amount"),
        (("totals", ".", "--since", "2026-13-01"), "--since: '2026-13-01' is no time"),
        (("verify", ".", "--key-env", "NONE"), "--key-env: 'NONE' is not set"),
    ],
)
def test_a_mistake_is_one_line_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = called(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
