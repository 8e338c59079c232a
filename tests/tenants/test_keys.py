from __future__ import annotations

import hmac
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Unauthenticated
from headrace.tenants import file, keys
from headrace.tenants.keys import KeyRing, StoredKey
from headrace.tenants.settings import Settings
from tests.tenants.made_up import KEYS, SECRET, written

NOW = 1_780_000_000.0
KEY = KEYS["aaaa1111"]
STORED = StoredKey("aaaa1111", keys.sha256(KEY), Settings("acme", "Acme"), expires=NOW + 10)
RING = KeyRing([STORED])


def test_a_key_has_256_random_bits_and_names_its_id() -> None:
    made = [keys.generate() for _ in range(100)]
    for key_id, key in made:
        assert re.fullmatch(r"hr_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
        assert key.startswith(f"hr_{key_id}_")
    assert len({key for _, key in made}) == 100
    seen = Counter(character for _, key in made for character in key[-43:])
    assert len(seen) == 64


def test_a_new_key_is_found() -> None:
    for _ in range(200):  # secrets with underscores among them
        key_id, key = keys.generate()
        ring = KeyRing([StoredKey(key_id, keys.sha256(key), STORED.settings), STORED])
        assert ring.find(key, NOW).id == key_id


def test_a_key_is_good_until_the_second_in_which_it_expires() -> None:
    assert RING.find(KEY, NOW + 9.999) is STORED
    for late in (10, 10.001, 1e9):
        with pytest.raises(Unauthenticated, match="has expired"):
            RING.find(KEY, NOW + late)


def test_a_key_of_the_file_expires_when_the_file_says(tmp_path: Path) -> None:
    ring = file.read(written(tmp_path)).keys
    noon = 1_780_315_200.0  # 2026-06-01T12:00:00Z
    assert ring.find(KEYS["bbbb2222"], noon - 0.001).settings.tenant == "beta"
    with pytest.raises(Unauthenticated, match="has expired"):
        ring.find(KEYS["bbbb2222"], noon)
    assert ring.find(KEYS["aaaa1111"], noon).settings.tenant == "acme"


WRONG = [
    "", "hr_", "hr__", "x", "hr_aaaa1111_", KEY[:-1], KEY + "s", KEY[:-1] + "t", "HR" + KEY[2:], "xx" + KEY[2:],
    KEYS["bbbb2222"], f"hr_aaaa1111-{SECRET}", f"hr__{SECRET}", KEY + "\n", " " + KEY, KEY.upper(), "\0", "é" * 60,
    "\udc80" * 60, f"hr_{'a' * 100_000}_{SECRET}", STORED.sha256.hex(),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_in_any_way_is_one_and_the_same_error(wrong: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        RING.find(wrong, NOW)
    assert str(caught.value) == "the API key is not valid; check that it is complete, or ask for a new one"


@given(st.text() | st.text(alphabet="hr_a1s").map(lambda end: KEY[:-3] + end))
def test_only_the_key_itself_is_found(text: str) -> None:
    if text == KEY:
        return
    with pytest.raises(Unauthenticated, match="is not valid"):
        RING.find(text, NOW)


@pytest.mark.parametrize("shown", [KEY, KEYS["bbbb2222"], "no key"], ids=["right", "unknown id", "malformed"])
def test_every_key_is_hashed_and_compared_once(shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown id takes the same way as a known one, so time tells nothing."""
    compared: list[tuple[Any, Any]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys, "hmac", SimpleNamespace(compare_digest=compare))
    try:
        RING.find(shown, NOW)
    except Unauthenticated:
        assert shown != KEY
    [(one, other)] = compared
    assert one == keys.sha256(shown)
    assert (other == STORED.sha256) == (shown == KEY)
    assert len(other) == 32


def test_a_hash_that_nothing_has_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it had."""
    nobody = StoredKey("", keys.sha256("x"), Settings("", ""))
    monkeypatch.setattr(keys, "_NOBODYS", nobody)
    with pytest.raises(Unauthenticated):
        RING.find("x", NOW)


def test_an_error_holds_no_key() -> None:
    for shown in (KEY + "x", KEY):
        with pytest.raises(Unauthenticated) as caught:
            RING.find(shown, NOW + 100)
        assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
