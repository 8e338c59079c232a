"""Changes to a tenants file: what was asked for, and nothing else."""

from __future__ import annotations

import difflib
import hashlib
import multiprocessing
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.tenants import change, file, keys
from headrace.tenants.edit import CannotEdit, Text
from tests.tenants.layouts import files
from tests.tenants.made_up import GOOD, written

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def said(text: bytes | str) -> Any:
    return yaml.safe_load(text)


def changed_file(folder: Path, text: str) -> Path:
    place = folder / "tenants.yaml"
    place.write_bytes(text.encode())
    return place


def only_added(before: str, after: str) -> bool:
    """Every character of before is in after, in its order."""
    rest = iter(after)
    return all(character in rest for character in before)


def some_tenants(text: str) -> list[tuple[str, Any]]:
    """The first and the last."""
    tenants = list((said(text)["tenants"] or {}).items())
    return tenants[:1] + tenants[1:][-1:]


def old_keys(tenant: Any) -> list[Any]:
    return ((tenant or {}).get("keys")) or []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tenants")


@settings(max_examples=50)
@given(text=files(), budget=st.booleans())
def test_a_tenant_is_added_and_all_else_stays(folder: Path, text: str, budget: bool) -> None:
    place = changed_file(folder, text)
    given_settings: dict[str, Any] = {"display_name": "Ünï #1: 'x' \"y\" 😀", "priority": 1}
    if budget:
        given_settings["budgets"] = [{"amount": "12.50", "period": "month"}]
    key = change.add_tenant(place, "new", given_settings, NOW, NOW + DAY)
    before, after = said(text), said(place.read_bytes())
    added = after["tenants"].pop("new")
    assert after == before | {"tenants": before["tenants"] or {}}
    [stored] = added.pop("keys")
    assert added == given_settings
    assert stored["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert (stored["created"], stored["expires"]) == ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z")
    assert place.read_bytes().count(b"\r") == (place.read_bytes().count(b"\n") if "\r" in text else 0)
    assert only_added(text.replace("{}", "").replace("~", "").replace(" ", ""), place.read_bytes().decode())
    assert file.read(place).keys.find(key, NOW.timestamp()).settings.tenant == "new"


@settings(max_examples=30)
@given(text=files())
def test_a_rotation_changes_one_tenants_keys_only(folder: Path, text: str) -> None:
    place = changed_file(folder, text)
    for name, before in some_tenants(text):
        place.write_bytes(text.encode())
        tenant = old_tenant(place, name)
        live = [key for key in tenant.keys if key.is_live(NOW)]
        if len(live) == 2:
            with pytest.raises(ConfigError, match="has 2 live keys already"):
                change.rotate(place, name, NOW, DAY)
            assert place.read_bytes() == text.encode()
            continue
        key = change.rotate(place, name, NOW, DAY)
        after = said(place.read_bytes())
        assert all_but(after, name) == all_but(said(text), name)
        *rest, new = after["tenants"][name]["keys"]
        assert new["sha256"] == hashlib.sha256(key.encode()).hexdigest()
        assert [without_expiry(one) for one in rest] == [without_expiry(one) for one in old_keys(before)]
        for old, now in zip(tenant.keys, old_tenant(place, name).keys, strict=False):
            assert now.expires == (NOW + DAY if old in live else old.expires)
        comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
        assert [line for line in place.read_bytes().decode().splitlines() if line in comments] == comments


@settings(max_examples=30)
@given(text=files())
def test_a_removed_key_takes_nothing_with_it(folder: Path, text: str) -> None:
    place = changed_file(folder, text)
    for name, before in some_tenants(text):
        for key in old_keys(before):
            place.write_bytes(text.encode())
            assert change.remove_key(place, key["id"]) == name
            after = said(place.read_bytes())
            assert all_but(after, name) == all_but(said(text), name)
            assert old_keys(after["tenants"][name]) == [one for one in old_keys(before) if one != key]
            rest = {inner: value for inner, value in after["tenants"][name].items() if inner != "keys"}
            assert rest == {inner: value for inner, value in before.items() if inner != "keys"}


def old_tenant(place: Path, name: str) -> file.TenantSection:
    return file.parse(place).tenants[name]


def all_but(values: Any, name: str) -> Any:
    return values | {"tenants": {other: value for other, value in values["tenants"].items() if other != name}}


def without_expiry(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "expires"}


def test_a_change_reads_like_one_made_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "generate", iter([("new1", "hr_new1"), ("new2", "hr_new2")]).__next__)
    place = written(tmp_path, GOOD + "# the end\n")
    change.add_tenant(place, "gamma", {"priority": 1, "models": ["assistant"]}, NOW, None)
    change.rotate(place, "acme", NOW, DAY)
    lines = difflib.unified_diff((GOOD + "# the end\n").splitlines(), place.read_text().splitlines(), n=0)
    one, two = (hashlib.sha256(key).hexdigest() for key in (b"hr_new1", b"hr_new2"))
    old = next(line for line in GOOD.splitlines() if "aaaa1111" in line)
    assert [line for line in lines if not line.startswith(("---", "+++", "@@"))] == [
        f"-{old}",
        f'+{old[:-1]}, expires: "2026-03-02T12:00:00Z"}}',
        f'+      - {{id: "new2", sha256: "{two}", created: "2026-03-01T12:00:00Z"}}',
        "+  gamma:",
        "+    priority: 1",
        "+    models:",
        '+      - "assistant"',
        "+    keys:",
        f'+      - {{id: "new1", sha256: "{one}", created: "2026-03-01T12:00:00Z"}}',
    ]


def test_an_old_key_that_ends_earlier_still_does(tmp_path: Path) -> None:
    place = written(tmp_path)
    change.rotate(place, "beta", datetime(2026, 6, 1, 11, tzinfo=UTC), DAY)
    assert "expires: 2026-06-01T12:00:00Z}" in place.read_text()


def test_a_rotation_after_the_old_key_ended_leaves_one_live_key(tmp_path: Path) -> None:
    place, later = written(tmp_path), datetime(2026, 7, 1, tzinfo=UTC)
    key = change.rotate(place, "beta", later, DAY)
    ring = file.read(place).keys
    assert ring.find(key, later.timestamp()).settings.tenant == "beta"
    change.rotate(place, "beta", later, DAY)
    with pytest.raises(ConfigError, match=r"tenant beta has 2 live keys already \(\w+, \w+\); remove one first"):
        change.rotate(place, "beta", later, DAY)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    place = written(tmp_path)
    with pytest.raises(ConfigError, match="tenant acme is there already"):
        change.add_tenant(place, "acme", {}, NOW, None)
    with pytest.raises(ConfigError, match="no tenant gamma; there are acme, beta"):
        change.rotate(place, "gamma", NOW, DAY)
    with pytest.raises(ConfigError, match="no key 0000; `headrace tenant list`"):
        change.remove_key(place, "0000")
    with pytest.raises(ConfigError, match="no such file"):
        change.rotate(tmp_path / "none.yaml", "acme", NOW, DAY)
    with pytest.raises(ConfigError, match="no such folder"):
        change.add_tenant(tmp_path / "none" / "tenants.yaml", "acme", {}, NOW, None)
    assert place.read_text() == GOOD
    assert [entry.name for entry in tmp_path.iterdir()] == ["tenants.yaml"]


@pytest.mark.parametrize("name", ["Acme", "anonymous", "a b", ""])
def test_what_would_be_wrong_is_not_written(tmp_path: Path, name: str) -> None:
    place = written(tmp_path)
    with pytest.raises(ConfigError, match=r"not changed.*/tenants\.yaml:\d+: tenants\." + name):
        change.add_tenant(place, name, {}, NOW, None)
    assert place.read_text() == GOOD
    assert [entry.name for entry in tmp_path.iterdir()] == ["tenants.yaml"]


def test_a_file_that_is_wrong_already_is_not_changed(tmp_path: Path) -> None:
    place = written(tmp_path, GOOD.replace("priority", "x") + "more: 1\n")
    with pytest.raises(ConfigError, match="more: Extra inputs"):
        change.add_tenant(place, "gamma", {}, NOW, None)


ODD = {
    "tenants: &all {a: &a {priority: 1}}\nanonymous: *a\n": True,
    "tenants:\n  a: &a\n    priority: 1\n  b: *a\n": True,
    "tenants:\n  a: {display_name: &b x}\n  b: {display_name: *b}\n": True,
    "\ufefftenants: {}\n": True,
    "tenants:\n  a:\n    display_name: >-\n      # no comment\n\n": True,
    "tenants:\n  a:\n    models:\n    - |-\n      # no comment\n# comment\n": True,
    "tenants:\n  a:\n    display_name: |-\n      text\n# comment\n\n# more\n": True,
    "tenants: {a: {}, b: }\n": True,
    "{tenants: {}}": True,
    "{tenants: }\n": True,
    '{"tenants": {"a": {"keys": []}}}': True,
    "tenants:\n  ? a\n  : priority: 1\n": False,
}
"""Text → whether it can be changed."""


@pytest.mark.parametrize("text", ODD)
def test_odd_yaml_is_changed_rightly_or_not_at_all(text: str) -> None:
    changed = Text(text)
    before = said(text)
    changed.add(["tenants"], "new", {"priority": 1})
    if not ODD[text]:
        with pytest.raises(CannotEdit, match="change it by hand"):
            changed.result()
        return
    after = said(changed.result())
    added = after["tenants"].pop("new")
    assert (added, after) == ({"priority": 1}, before | {"tenants": before["tenants"] or {}})


def test_a_shared_list_of_keys_is_not_changed_for_both() -> None:
    text = Text("tenants:\n  a: &a\n    keys: [x]\n  b: *a\n")
    text.append(["tenants", "b", "keys"], "new")
    with pytest.raises(CannotEdit, match="change it by hand"):
        text.result()


def test_the_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    place = written(tmp_path)
    place.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(place)
    change.rotate(link, "acme", NOW, DAY)
    assert link.is_symlink()
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert "2026-03-02" in place.read_text()


def test_a_first_tenant_makes_the_file(tmp_path: Path) -> None:
    place = tmp_path / "tenants.yaml"
    key = change.add_tenant(place, "acme", {}, NOW, None)
    assert file.read(place).keys.find(key, 0.0).settings.tenant == "acme"
    assert file.read(place).anonymous is None


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = written(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        change.rotate(place, "acme", NOW, DAY)
    assert place.read_text() == GOOD
    assert [entry.name for entry in tmp_path.iterdir()] == ["tenants.yaml"]


def _add_some(place: Path, writer: int) -> None:
    for number in range(5):
        change.add_tenant(place, f"t{writer}-{number}", {}, NOW, None)


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    place = written(tmp_path)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_some, args=(place, writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert file.read(place).settings.keys() == {"acme", "beta"} | {f"t{w}-{n}" for w in range(4) for n in range(5)}
