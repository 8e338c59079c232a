"""Made-up keys in the issuers' formats, and what looks like keys and is none."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import random
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import paths
from headrace.guard.secrets import SecretsRail
from tests.guard.made_up_keys import FORMATS, WITH_A_NAME, drawn

EACH = 20
AROUND = [
    "{}",
    "Use {} for it.",
    'KEY = "{}"',
    "key={};",
    "token_{}",
    "the-{}",
    "密钥是{}。",
    "({})",
    "`{}`",
    "{}\nand more",
]


def found(text: str) -> list[str]:
    (scores,) = SecretsRail().score_batch([text])
    return [text[span.start : span.end] for span in scores.spans]


@pytest.mark.parametrize("form", FORMATS)
def test_a_key_is_found_whole(form: str) -> None:
    missed = []
    for seed, around in itertools.product(range(EACH), AROUND):
        key = drawn(form, seed)
        alone = re.match(r"sk-\{|SK|AC|dapi|eyJ|1//|\{", form)
        if not (alone and around in {"token_{}", "the-{}"}) and key not in found(around.format(key)):
            missed.append(around.format(key))
    assert not missed


@pytest.mark.parametrize("form", WITH_A_NAME)
def test_a_key_without_a_form_is_found_by_the_name_before_it(form: str) -> None:
    values = [drawn(form, seed) for seed in range(EACH)]
    fixed = len(form.partition("{")[0])
    assert [text for text in values if "".join(found(text))[:12] != text[fixed:][:12]] == []


@pytest.mark.parametrize(
    ("sentence", "secret"),
    [
        ("password: hunter2!x", "hunter2!x"),
        ("password: mydogRex!42", "mydogRex!42"),
        ("password: TheBest99!", "TheBest99!"),
        ("password: getRich2024!", "getRich2024!"),
        ("password: noneShallPass7!", "noneShallPass7!"),
        ("password=$ecret99!", "$ecret99!"),
        ("password: 'p@ss(w)0rd'", "p@ss(w)0rd"),
        ("passphrase: correct-horse-battery-staple", "correct-horse-battery-staple"),
        ("pass: Tr0ub4dor", "Tr0ub4dor"),
        ("pwd=letmein!", "letmein!"),
        ('api_key = "Zx81-9qLm44"', "Zx81-9qLm44"),
        ("api key: Zx81-9qLm44", "Zx81-9qLm44"),
        ("DB_PASSWORD=tr0ub4dor&3", "tr0ub4dor&3"),
        ("DB_PASS=hunter22", "hunter22"),
        ("dbPassword=hunter22", "hunter22"),
        ("**Password:** Blue42Horse!", "Blue42Horse!"),
        ("password: `Blue42Horse!`", "Blue42Horse!"),
        ('{"password":"hunter2!x"}', "hunter2!x"),
        ('{\\"password\\":\\"hunter2!x\\"}', "hunter2!x"),
        ("<password>hunter2!x</password>", "hunter2!x"),
        ('if password == "hunter22":', "hunter22"),
        ("Server=db;User Id=sa;Password=Str0ng!Pass;", "Str0ng!Pass"),
        ("postgres://admin:s3cr3tpw@db.example.org/app", "s3cr3tpw"),
        ("mysql://app:blue_horse@db.example.org/app", "blue_horse"),
        ("redis://:s3cr3tpw9@cache:6379/0", "s3cr3tpw9"),
        ("mongodb+srv://u:p4ss:w0rd@c.example.net", "p4ss:w0rd"),
        ("Authorization: Basic dXNlcjpodW50ZXIyIQ==", "dXNlcjpodW50ZXIyIQ=="),
        ("The password is Blue42Horse!", "Blue42Horse!"),
        ("my password was hunter22.", "hunter22."),
        ("Mein Passwort ist gruen7haus!", "gruen7haus!"),
        ("La contraseña es verde7casa!", "verde7casa!"),
        ("Le mot de passe : verte7maison!", "verte7maison!"),
    ],
)
def test_a_secret_is_found_by_the_name_before_it(sentence: str, secret: str) -> None:
    assert found(sentence) == [secret]


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ['DB_PASSWORD']",
        "api_key = get_api_key()",
        "token = get_token()",
        "token = tokens[0]",
        "token: Optional[str] = None",
        "token: response.data.accessToken",
        "apiKey: process.env.API_KEY",
        "secret = hashlib.sha256(data).hexdigest()",
        "password = self.password_2",
        "password=user_password",
        "password: str",
        "pass: true",
        "password: ${DB_PASSWORD}",
        "password=$DB_PASSWORD",
        "api_key=YOUR_API_KEY",
        "api_key: your-api-key-here",
        "api key: <your key>",
        "password: ********",
        "password: xxxxxxxx",
        "password: changeme",
        "password: /run/secrets/db_password",
        "https://user:password@example.org, https://user:$PASSWORD@example.org",
        "token: https://auth.example.com/v1/token1",
        "token: color-primary-500",
        "max_tokens: 4096",
        "--- PASS: TestFoo2 (0.00s)",
        "PASS: test-hash1.sh",
        "Your password must have 12 characters.",
        "The password is case-sensitive.",
        "The password is incorrect!",
        "The password is SHA256-hashed, the token is OAuth2-based.",
        "The secret is to stir slowly.",
        "Basic internationalization, and a basic understanding-of-things",
        "The bearer authentication-with-tokens-2 of news",
        "def set_password(self, password: str) -> None:",
        "const token = await fetchToken(user)",
        "AKIA is how such a key begins.",
        "xoxo-love-and-kisses-from-all-of-us",
        "import numpy as np  # sk-learn",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert found(text) == []


def lines_of_hashes() -> Iterator[str]:
    draw = random.Random(1)
    for number in range(300):
        data = draw.randbytes(300)
        sha1, sha256 = hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest()
        sha512 = base64.b64encode(hashlib.sha512(data).digest()).decode()
        yield str(uuid.UUID(bytes=data[:16]))
        yield f"{sha256}  file-{number}.tar.gz"
        yield f"{hashlib.md5(data).hexdigest()} *file{number}.iso"
        yield f"commit {sha1}"
        yield f"index {sha1[:7]}..{sha256[:7]} 100644"
        yield f"    --hash=sha256:{sha256} \\"
        yield f'      "integrity": "sha512-{sha512}",'
        yield f'{{ url = "https://files.example.org/{sha256}/x-{number}.whl", hash = "sha256:{sha256}" }}'
        yield f'  resolved "https://registry.example.org/x/-/x-{number}.0.1.tgz#{sha1}"'
        yield f"golang.org/x/text v0.{number}.0 h1:{base64.b64encode(data[:32]).decode()}"
        yield f"![](data:image/png;base64,{base64.b64encode(data).decode()})"
        yield f"docker.io/library/x@sha256:{sha256}"
        yield f"!function(e,t){{var n={{key:{number},token:e.token||t}};return n.a.b(e,0x{sha1[:8]})}}(this,t);"
        yield f"ssh-ed25519 {base64.b64encode(data[:51]).decode()} anna@host{number}"
        yield f'ETag: W/"{sha1[:16]}-{number}"; request-id: {uuid.UUID(bytes=data[16:32])}'
        yield f"eth0: {':'.join(f'{byte:02x}' for byte in data[:6])} fe80::{data[:2].hex()}:{data[2:4].hex()}"


def lines_of_code() -> Iterator[str]:
    """Of Python's own library, and what the environment here is made of."""
    library = Path(os.__file__).parent
    files = [
        *sorted(library.glob("*.py"))[::3],
        *sorted(library.glob("http/*.py")),
        paths.PROJECT / "pyproject.toml",
    ]
    files += sorted(paths.PROJECT.glob("*.lock"))
    for file in files:
        yield from filter(str.strip, file.read_text(errors="replace").splitlines())


@pytest.mark.parametrize("lines", [lines_of_hashes, lines_of_code])
def test_lines_of_code_and_hashes_are_hardly_ever_flagged(lines: type[Iterator[str]]) -> None:
    texts = list(lines())
    flagged = [text for text, scores in zip(texts, SecretsRail().score_batch(texts), strict=True) if scores.spans]
    assert len(texts) > 4000
    assert len(flagged) <= 0.001 * len(texts), flagged


def test_a_private_key_that_is_cut_off_ends_where_its_lines_do() -> None:
    key = drawn("-----BEGIN PRIVATE KEY-----\n{B64}\n{B64}\n", 1)
    assert [text.strip() for text in found(f"My key: {key}That was all. {'More text. ' * 2000}")] == [key.strip()]


def test_a_private_key_in_json_is_found() -> None:
    key = drawn("-----BEGIN PRIVATE KEY-----\\n{B64}\\n{B10}\\n-----END PRIVATE KEY-----", 1)
    assert found(f'{{"private_key": "{key}\\n"}}')[0] == key


@pytest.mark.parametrize("part", ["a", "password", "-----BEGIN PRIVATE KEY-----", "eyJ", "a-", "_eyJa"])
def test_a_megabyte_is_searched_in_time(part: str) -> None:
    bait = part * (10**6 // len(part))
    began = time.process_time()
    found(bait)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("form", FORMATS[:8])
def test_a_key_is_found_among_what_hides_it(form: str) -> None:
    key = drawn(form, 0)
    wide = "".join(chr(ord(sign) + 0xFEE0) if 0x21 <= ord(sign) <= 0x7E else sign for sign in key)
    for written in ("\u200b".join(key), wide):
        assert found(f"so: {written}, yes") == [written]
