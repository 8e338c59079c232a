"""Made-up keys in the issuers' formats, and what looks like keys and is none."""

from __future__ import annotations

import random
import string
import time

import pytest

from headrace.guard.secrets import SecretsRail

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def some(alphabet: str, length: int) -> str:
    return "".join(random.Random(f"{alphabet}{length}").choices(alphabet, k=length))


KEYS = [
    "AKIA" + some(string.ascii_uppercase + "234567", 16),
    "ghp_" + some(ALNUM, 36),
    "github_pat_" + some(ALNUM, 82),
    "glpat-" + some(ALNUM, 20),
    "xoxb-123456789012-123456789012-" + some(ALNUM, 24),
    "sk_live_" + some(ALNUM, 24),
    "sk-proj-" + some(ALNUM, 48),
    "sk-ant-api03-" + some(ALNUM, 93),
    "AIza" + some(ALNUM, 35),
    "hf_" + some(ALNUM, 34),
    "npm_" + some(ALNUM, 36),
    "SG." + some(ALNUM, 22) + "." + some(ALNUM, 43),
    "nvapi-" + some(ALNUM, 64),
    "hvs." + some(ALNUM, 24),
    "dop_v1_" + some(HEX, 64),
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + some(ALNUM, 43),
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----",
]
SENTENCES = [
    ("password: hunter2!x", "hunter2!x"),
    ('api_key = "Zx81-9qLm44"', "Zx81-9qLm44"),
    ("DB_PASSWORD=tr0ub4dor&3", "tr0ub4dor&3"),
    ("postgres://admin:s3cr3tpw@db.example.org/app", "s3cr3tpw"),
    ("Authorization: Bearer " + some(ALNUM, 40), some(ALNUM, 40)),
    ("The password is Blue42Horse!", "Blue42Horse!"),
]
NONE = [
    "3f786850e387550fdab836ed7e6dc881de23001b",
    "123e4567-e89b-12d3-a456-426614174000",
    "d41d8cd98f00b204e9800998ecf8427e  empty.txt",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "password = os.environ['DB_PASSWORD']",
    "api_key = get_api_key()",
    "password: ${DB_PASSWORD}",
    "Your password must have 12 characters.",
    "The secret is to stir slowly.",
    "def set_password(self, password: str) -> None:",
    "const token = await fetchToken(user)",
    "AKIA is how such a key begins.",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "import numpy as np  # sk-learn",
]


def found(text: str) -> list[str]:
    (scores,) = SecretsRail().score_batch([text])
    return [text[span.start : span.end] for span in scores.spans]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "Use {} for it.", 'KEY = "{}"', "key={};"])
def test_a_key_is_found_whole(key: str, around: str) -> None:
    assert key in found(around.format(key)), found(around.format(key))


@pytest.mark.parametrize(("sentence", "secret"), SENTENCES)
def test_a_secret_is_found_by_the_name_before_it(sentence: str, secret: str) -> None:
    assert found(sentence) == [secret]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "bait", ["a" * 10**6, "password" * 10**5, "-----BEGIN PRIVATE KEY-----" * 2000, "eyJ" * 10**5, "a-" * 10**5]
)
def test_a_megabyte_is_searched_in_time(bait: str) -> None:
    began = time.process_time()
    found(bait)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("key", KEYS[:8])
def test_a_key_is_found_among_what_hides_it(key: str) -> None:
    wide = "".join(
        chr(ord(character) + 0xFEE0) if 0x21 <= ord(character) <= 0x7E else character for character in key
    )
    for written in ("\u200b".join(key), wide):
        text = f"so: {written}, yes"
        (scores,) = SecretsRail().score_batch([text])
        assert [text[span.start : span.end] for span in scores.spans] == [written]


@pytest.mark.parametrize("words", ["Mein Passwort ist", "La contraseña es", "Le mot de passe :"])
def test_a_password_is_found_after_its_name_in_other_languages(words: str) -> None:
    (scores,) = SecretsRail().score_batch([f"{words} gruen7haus!"])
    assert scores.by_category == {"secret": 0.9}
