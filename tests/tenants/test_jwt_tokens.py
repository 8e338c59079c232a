from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Forbidden, HeadraceError, Unauthenticated
from headrace.tenants import jwt_tokens
from headrace.tenants.file import IssuerSection
from headrace.tenants.jwks import KeySet, usable
from headrace.tenants.jwt_tokens import MOST_CHARACTERS, Token, Tokens
from tests.tenants.signers import AUDIENCE, CLAIMS, ISSUER, NOW, Signer, jwks, part, rsa_key, signer

ALL = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
RS256 = signer("RS256")


class Clock:
    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


def issuer(**said: Any) -> IssuerSection:
    return IssuerSection.model_validate({"issuer": ISSUER, "audience": AUDIENCE, "jwks": "k", **said})


def tokens(document: bytes, clock: Any = lambda: NOW, **said: Any) -> Tokens:
    trusted, found = issuer(**said), Tokens(clock)
    found.trust({ISSUER: (trusted, KeySet(lambda: usable(document, trusted.algorithms), 300))})
    return found


@pytest.mark.parametrize("algorithm", ALL)
async def test_a_good_token_names_its_tenant_and_subject(algorithm: str) -> None:
    one = signer(algorithm)
    checking = tokens(jwks(one.jwk()), algorithms=[algorithm])
    assert await checking.check(one.token()) == Token("acme", "robot-7", NOW + 630)


TIMES = [
    ({"exp": NOW + 1}, NOW + 30.999, None),
    ({"exp": NOW + 1}, NOW + 31, "has expired (exp)"),
    ({"exp": NOW - 31}, NOW, "has expired (exp)"),
    ({"nbf": NOW + 30}, NOW, None),
    ({"nbf": NOW + 31}, NOW, "is not valid yet (nbf)"),
    ({"iat": NOW + 30}, NOW, None),
    ({"iat": NOW + 31}, NOW, "was issued in the future (iat)"),
    ({"iat": None, "nbf": None}, NOW, None),
    ({"exp": None}, NOW, "the claim exp is missing"),
    ({"exp": str(NOW + 60)}, NOW, "its claim exp is not a time"),
    ({"exp": True}, NOW, "its claim exp is not a time"),
    ({"exp": float("inf")}, NOW, "its claim exp is not a time"),
    ({"exp": float("nan")}, NOW, "its claim exp is not a time"),
    ({"exp": 10**400}, NOW, "its claim exp is not a time"),
    ({"exp": [NOW]}, NOW, "its claim exp is not a time"),
    ({"nbf": -1}, NOW, "its claim nbf is not a time"),
    ({"iat": "now"}, NOW, "its claim iat is not a time"),
    ({"aud": "other"}, NOW, "its audience (aud) is not this gateway"),
    ({"aud": ["other", AUDIENCE]}, NOW, None),
    ({"aud": ["other"]}, NOW, "its audience (aud) is not this gateway"),
    ({"aud": []}, NOW, "the claim aud is missing"),
    ({"aud": None}, NOW, "the claim aud is missing"),
    ({"aud": {AUDIENCE: 1}}, NOW, "its audience (aud) is not this gateway"),
    ({"sub": None}, NOW, "the claim sub is missing"),
    ({"sub": 7}, NOW, "cannot be verified"),
    ({"sub": ""}, NOW, "its claim sub is not text"),
    ({"tenant": None}, NOW, "the claim tenant is missing"),
    ({"tenant": ["acme"]}, NOW, "its claim tenant is not text"),
    ({"iss": None}, NOW, "its issuer (iss) is not trusted here"),
    ({"iss": "https://login.example.com"}, NOW, "its issuer (iss) is not trusted here"),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "now", "says"), TIMES, ids=range(len(TIMES)))
async def test_every_claim_is_checked(claims: dict[str, Any], now: float, says: str | None) -> None:
    checking = tokens(jwks(RS256.jwk()), lambda: now)
    if says is None:
        assert (await checking.check(RS256.token(**claims))).tenant == "acme"
        return
    with pytest.raises(Unauthenticated) as caught:
        await checking.check(RS256.token(**claims))
    assert str(caught.value) == f"token: {says}"


async def test_an_issuer_that_is_a_list_is_nobody() -> None:
    unsigned = ".".join((part({"alg": "RS256", "kid": RS256.kid}), part(CLAIMS | {"iss": [ISSUER]}), "AAAA"))
    with pytest.raises(Unauthenticated, match="not trusted here"):
        await tokens(jwks(RS256.jwk())).check(unsigned)


async def test_more_claims_can_be_required_and_the_tenants_claim_be_another() -> None:
    checking = tokens(jwks(RS256.jwk()), tenant_claim="https://x/tenant", required_claims=["scope"])
    other: dict[str, Any] = {"https://x/tenant": "beta"}
    with pytest.raises(Unauthenticated, match="the claim https://x/tenant is missing"):
        await checking.check(RS256.token(scope="a"))
    with pytest.raises(Unauthenticated, match="the claim scope is missing"):
        await checking.check(RS256.token(**other))
    assert (await checking.check(RS256.token(scope="a", **other))).tenant == "beta"


async def test_an_issuer_names_no_tenants_but_its_own() -> None:
    checking = tokens(jwks(RS256.jwk()), tenants=["beta"])
    with pytest.raises(Forbidden, match="may not name this tenant"):
        await checking.check(RS256.token())
    assert (await checking.check(RS256.token(tenant="beta"))).tenant == "beta"


def forged(header: dict[str, Any], sign: bytes | None) -> str:
    said = f"{part(header)}.{part(CLAIMS)}"
    return f"{said}." + ("" if sign is None else part(hmac.new(sign, said.encode(), hashlib.sha256).digest()))


@pytest.mark.parametrize("document", ["keys", "keys that say HS256", "a shared secret too"])
async def test_a_public_key_is_never_taken_for_a_shared_secret(document: str) -> None:
    secret = {"kty": "oct", "kid": RS256.kid, "alg": "HS256", "k": part(b"s" * 32)}
    found = {
        "keys": jwks(RS256.jwk()),
        "keys that say HS256": jwks(RS256.jwk(alg="HS256"), signer("ES256").jwk()),
        "a shared secret too": jwks(secret, RS256.jwk()),
    }[document]
    checking = tokens(found)
    numbers = json.dumps(RS256.jwk()).encode()
    for sign in (RS256.public_pem, RS256.public_pem.strip(), numbers, b"s" * 32, b""):
        for algorithm in ("HS256", "hs256", "RS256"):
            with pytest.raises(Unauthenticated):
                await checking.check(forged({"alg": algorithm, "kid": RS256.kid}, sign))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 1, ["RS256"], {"a": 1}])
@pytest.mark.parametrize("sign", [None, b"x"])
async def test_a_token_cannot_choose_not_to_be_signed(algorithm: Any, sign: bytes | None) -> None:
    with pytest.raises(Unauthenticated, match=r"its algorithm \(alg\) is not one of RS256, ES256"):
        await tokens(jwks(RS256.jwk())).check(forged({"alg": algorithm, "kid": RS256.kid}, sign))


async def test_a_key_is_used_by_its_own_algorithm_only() -> None:
    checking = tokens(jwks(RS256.jwk(alg="RS256")), algorithms=["RS256", "PS256", "ES256"])
    with pytest.raises(Unauthenticated, match="has no key of this kid for this algorithm"):
        await checking.check(Signer(RS256.private, "PS256", RS256.kid).token())
    with pytest.raises(Unauthenticated, match="has no key of this kid for this algorithm"):
        await checking.check(Signer(signer("ES256").private, "ES256", RS256.kid).token())
    await checking.check(RS256.token())


async def test_an_algorithm_that_the_issuer_may_not_use_is_refused() -> None:
    ps256 = Signer(RS256.private, "PS256", RS256.kid)
    with pytest.raises(Unauthenticated, match=r"its algorithm \(alg\) is not one of RS256, ES256"):
        await tokens(jwks(ps256.jwk())).check(ps256.token())


async def test_a_signature_of_another_key_does_not_fit() -> None:
    other = Signer(rsa_key(2049), "RS256", RS256.kid)
    with pytest.raises(Unauthenticated, match="token: its signature does not fit"):
        await tokens(jwks(RS256.jwk())).check(other.token())


async def test_one_issuers_key_signs_nothing_of_another_issuer() -> None:
    es256, checking = signer("ES256"), Tokens(lambda: NOW)
    other = issuer(issuer="https://other/")
    checking.trust(
        {
            ISSUER: (issuer(), KeySet(lambda: usable(jwks(RS256.jwk()), ("RS256",)), 300)),
            "https://other/": (other, KeySet(lambda: usable(jwks(es256.jwk()), ("ES256",)), 300)),
        }
    )
    await checking.check(es256.token(iss="https://other/"))
    with pytest.raises(Unauthenticated, match="has no key of this kid"):
        await checking.check(es256.token())


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"kid": "another"}, "has no key of this kid"),
        ({"kid": None}, "does not say which key it was signed with"),
        ({"crit": ["exp"], "exp": 1}, "cannot be decoded"),
    ],
)
async def test_a_header_that_asks_for_something_else_is_refused(headers: dict[str, Any], says: str) -> None:
    with pytest.raises(Unauthenticated, match=says):
        await tokens(jwks(RS256.jwk())).check(RS256.token(headers))


GOOD = RS256.token()
HEAD, BODY, SIGN = GOOD.split(".")
UNENCODED = part({"alg": "RS256", "kid": RS256.kid, "b64": False, "crit": ["b64"]})
BROKEN = {
    "": "is not of three parts",
    "abc": "is not of three parts",
    "a.b": "is not of three parts",
    f"{GOOD}.": "is not of three parts",
    f"{GOOD}.{SIGN}": "is not of three parts",
    "a" + ".a" * 4000: "is not of three parts",
    f"{HEAD}.{BODY}.{SIGN * 30}": f"longer than {MOST_CHARACTERS} characters",
    "." * 10**6: f"longer than {MOST_CHARACTERS} characters",
    "..": "cannot be decoded",
    f"{HEAD}.{BODY}.!": "cannot be decoded",
    f"{HEAD}.{part([1])}.{SIGN}": "cannot be decoded",
    f"{HEAD}.{part(b'x')}.{SIGN}": "cannot be decoded",
    f"{HEAD}.{part(b'[' * 5000)}.{SIGN}": "cannot be decoded",
    f"{part(b'[' * 5000)}.{BODY}.{SIGN}": "cannot be decoded",
    f"{HEAD}.{part(CLAIMS | {'sub': 'root'})}.{SIGN}": "its signature does not fit",
    f"{HEAD}.{BODY}.": "its signature does not fit",
    f"{HEAD}.{BODY}.{part(b'0' * 256)}": "its signature does not fit",
    f"{HEAD}.{BODY}.{SIGN}é": "cannot be decoded",
    f"{HEAD}.{BODY}.{SIGN}\udc80": "cannot be decoded",
    f"{HEAD}.{BODY}\n.{SIGN}": "cannot be decoded",
    f"{UNENCODED}.{BODY}.{SIGN}": "cannot be decoded",
}


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await tokens(jwks(RS256.jwk())).check(text)
    assert str(caught.value) == f"token: {BROKEN[text]}"


CHECKING = tokens(jwks(RS256.jwk()))


@given(st.integers(0, len(GOOD) - 1), st.characters(), st.booleans())
async def test_no_changed_token_is_good(at: int, character: str, instead: bool) -> None:
    changed = GOOD[:at] + character + GOOD[at + instead :]
    if changed == GOOD:
        return
    with pytest.raises(HeadraceError) as caught:
        await CHECKING.check(changed)
    assert isinstance(caught.value, Unauthenticated)
    assert BODY[:20] not in str(caught.value)


async def test_a_good_token_is_verified_once_and_no_longer_than_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, verified = Clock(), []
    signed = jwt_tokens._signed

    def counted(*arguments: Any) -> Any:
        verified.append(1)
        return signed(*arguments)

    monkeypatch.setattr(jwt_tokens, "_signed", counted)
    checking = tokens(jwks(RS256.jwk()), clock)
    for _ in range(3):
        await checking.check(GOOD)
    assert len(verified) == 1
    clock.seconds = NOW + 629.999
    await checking.check(GOOD)
    clock.seconds = NOW + 630
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="has expired"):
            await checking.check(GOOD)


async def test_few_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_tokens, "MOST_REMEMBERED", 3)
    checking = tokens(jwks(RS256.jwk()))
    for number in range(10):
        await checking.check(RS256.token(sub=f"robot-{number}"))
    assert len(checking._good) == 3


async def test_a_refused_token_is_not_remembered() -> None:
    checking = tokens(jwks(RS256.jwk()))
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await checking.check(RS256.token(aud="other"))
    assert not checking._good


async def test_a_token_is_not_remembered_when_trust_changed_while_it_was_checked() -> None:
    trusted = issuer()
    checking = Tokens(lambda: NOW)

    class Late(KeySet):
        async def key(self, kid: str, algorithm: str) -> Any:
            checking.trust({})
            return await super().key(kid, algorithm)

    checking.trust({ISSUER: (trusted, Late(lambda: usable(jwks(RS256.jwk()), ("RS256",)), 300))})
    await checking.check(GOOD)
    with pytest.raises(Unauthenticated, match="not trusted here"):
        await checking.check(GOOD)
