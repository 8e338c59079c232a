from __future__ import annotations

from pathlib import Path

import pytest

from headrace import paths
from headrace.errors import ConfigError
from headrace.limits.budget import Budget
from headrace.tenants.file import read
from headrace.tenants.settings import Settings
from tests.tenants.made_up import CREATED, GOOD, KEYS, hash_of, written

A, B = hash_of("aaaa1111"), hash_of("bbbb2222")
MONTH = '{amount: "12.50", period: month}'


def test_a_tenants_settings_are_plain_values(tmp_path: Path) -> None:
    tenants = read(written(tmp_path))
    assert tenants.settings["acme"] == Settings(
        tenant="acme",
        display_name="Acme",
        requests_per_minute=60,
        tokens_per_minute=100_000,
        concurrent_requests=8,
        budgets=(Budget(12_500_000_000, "month"),),
        models=frozenset({"assistant"}),
        cache_scope="tenant:acme",
    )
    assert tenants.settings["beta"].cache_scope == "shared:friends"
    assert tenants.settings["beta"].display_name == "beta"
    assert tenants.anonymous is not None
    assert (tenants.anonymous.tenant, tenants.anonymous.requests_per_minute) == ("anonymous", 30)


def test_models_that_are_not_named_are_not_allowed(tmp_path: Path) -> None:
    settings = read(written(tmp_path)).settings
    assert settings["acme"].allows_model("assistant")
    assert not settings["acme"].allows_model("assistant_stream")
    assert settings["beta"].allows_model("assistant_stream")


@pytest.mark.parametrize(
    ("text", "is_there"),
    [("tenants: {}\n", False), ("anonymous: false\ntenants:\n", False), ("anonymous:\ntenants:\n", False),
     ("anonymous: {}\ntenants:\n", True)],
)  # fmt: skip
def test_nobody_is_anonymous_unless_the_file_says_so(tmp_path: Path, text: str, is_there: bool) -> None:
    tenants = read(written(tmp_path, text))
    assert ((tenants.anonymous is not None), tenants.settings) == (is_there, {})


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    display_name: Acme", "    name: Acme", 9, "tenants.acme.name: Extra inputs"),
        ("per_minute: 30", "per_minute: 0", 2, "anonymous.requests_per_minute"),
        ("per_minute: 60", "per_minute: '60'", 10, "requests_per_minute"),
        ("per_minute: 60", "per_minute: true", 10, "requests_per_minute"),
        ("per_minute: 60", "per_minute: 1.5", 10, "requests_per_minute"),
        ('"12.50"', "12.50", 13, "budgets.0.amount: Value error, expected an amount in quotes"),
        ('"12.50"', '"0.00"', 13, "budgets.0.amount"),
        ("period: month", "period: week", 13, "budgets.0.period: Input should be 'day', 'month' or 'total'"),
        (MONTH, f"{MONTH}, {MONTH}", 13, "one budget for a period"),
        ("models: [assistant]", "models: []", 14, "models"),
        ("display_name: Acme", 'display_name: "a\\nb"', 9, "display_name"),
        ("display_name: Acme", "priority: 6", 9, "priority"),
        ("display_name: Acme", "store_text: 1", 9, "store_text"),
        ("display_name: Acme", "cache_scope: 'a b'", 9, "cache_scope"),
        ("  beta:", "  anonymous:", 17, "tenants.anonymous: is the name of those who show nothing"),
        ("id: bbbb2222", "id: aaaa1111", 20, "keys.0.id: is that of a key of acme too"),
        (B, A, 20, "tenants.beta.keys.0.sha256: is that of a key of acme too"),
        (A, A.upper(), 16, "keys.0.sha256"),
        (A, f"'{A}\\n'", 16, "keys.0.sha256"),
        (A, KEYS["aaaa1111"], 16, "keys.0.sha256"),
        ("id: aaaa1111", "id: a-b_c", 16, "keys.0.id"),
        (f"created: {CREATED}}}", "created: 2026-01-01 00:00:00}", 16, "keys.0.created"),
        ("expires: 2026-06-01T12:00:00Z", "expires: 20260601", 20, "expected a time such as"),
        ("expires: 2026-06-01T12:00:00Z", "expires: 2026-06-01", 20, "keys.0.expires"),
        ("jwks: keys.json", "jwks: http://login.example.com/keys", 6, "issuers.0.jwks: use https"),
        ("jwks: keys.json", "jwks: file:///etc/passwd", 6, "issuers.0.jwks: expected https://host/path"),
        ("jwks: keys.json", "jwks: https://me:secret@login.example.com/", 6, "leave user, password"),
        ("jwks: keys.json", "jwks: 'https://[::1'", 6, "issuers.0.jwks: is no URL"),
        ("jwks: keys.json", "jwks: https:///keys", 6, "issuers.0.jwks: expected https://host/path"),
        ("jwks: keys.json", "jwks: k\n    algorithms: [HS256]", 7, "algorithms.0"),
        ("jwks: keys.json", "jwks: k\n    algorithms: [RS256, none]", 7, "algorithms.1"),
        ("jwks: keys.json", "jwks: k\n    algorithms: []", 7, "algorithms"),
        ("jwks: keys.json", "jwks: k\n    clock_skew_seconds: .inf", 7, "clock_skew_seconds"),
        ("jwks: keys.json", "jwks: k\n    clock_skew_seconds: .nan", 7, "clock_skew_seconds"),
        ("    audience: headrace\n", "", 4, "issuers.0.audience: Field required"),
        (
            "tenants:",
            "  - {issuer: 'https://login.example.com/', audience: a, jwks: b}\ntenants:",
            7,
            "issuers.1.issuer: is there twice",
        ),
        ("anonymous:\n  requests_per_minute: 30", "anonymous: true\n#", 1, "anonymous"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        read(written(tmp_path, GOOD.replace(old, new, 1)))
    message = str(caught.value)
    assert says in message
    assert f"tenants.yaml:{line}: " in message, message
    assert "ssss" not in message


@pytest.mark.parametrize(
    "name", ["Acme", "a b", "a:b", "a/b", "-a", "a-", "_a", "a\\n", "", "é", "..", "a" * 64, "a*", "a{b}"]
)
def test_a_name_that_is_not_safe_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)tenants\.yaml:1: tenants\..*String should match pattern"):
        read(written(tmp_path, f'tenants: {{"{name}": {{}}}}\n'))


@pytest.mark.parametrize("name", ["a", "0", "a-b_c9", "a" * 63])
def test_a_name_that_is_safe_is_taken(tmp_path: Path, name: str) -> None:
    assert name in read(written(tmp_path, f'tenants: {{"{name}": {{}}}}\n')).settings


@pytest.mark.parametrize("url", ["https://login.example.com/keys", "http://127.0.0.1:9/k", "http://localhost/k"])
def test_a_safe_address_is_taken(tmp_path: Path, url: str) -> None:
    assert read(written(tmp_path, GOOD.replace("keys.json", url))).issuers[0].is_remote


def test_plain_http_from_elsewhere_must_be_said(tmp_path: Path) -> None:
    said = GOOD.replace("jwks: keys.json", "jwks: http://keys.internal/\n    plain_http: true")
    assert read(written(tmp_path, said)).issuers[0].is_remote


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """It may be one that is being written."""
    with pytest.raises(ConfigError, match="tenants: Field required"):
        read(written(tmp_path, ""))
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "no-such.yaml")


def keys_of_one_tenant(*lives: str) -> str:
    keys = [f"{{id: key{n}, sha256: '{n:064}', {life}}}" for n, life in enumerate(lives)]
    return f"tenants: {{a: {{keys: [{', '.join(keys)}]}}}}\n"


def test_a_tenant_has_two_live_keys_at_most(tmp_path: Path) -> None:
    first = "created: 2026-01-01T00:00:00Z, expires: 2026-01-03T00:00:00Z"
    second = "created: 2026-01-02T00:00:00Z"
    read(written(tmp_path, keys_of_one_tenant(first, second)))
    read(written(tmp_path, keys_of_one_tenant(first, second, "created: 2026-01-03T00:00:00Z")))
    with pytest.raises(ConfigError, match=r"tenants\.a\.keys: Value error, at most 2 keys may be live at a time"):
        read(written(tmp_path, keys_of_one_tenant(first, second, "created: 2026-01-02T23:59:59Z")))


def test_the_projects_own_file_is_right_and_holds_no_key() -> None:
    tenants = read(paths.PROJECT / "tenants.yaml")
    assert tenants.settings == {}
    assert tenants.anonymous is not None
    assert "sha256:" not in (paths.PROJECT / "tenants.yaml").read_text("utf-8")
