"""Issuers of tokens, with real keys."""

from __future__ import annotations

import base64
import functools
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_780_000_000.0
ISSUER, AUDIENCE = "https://login.example.com/", "headrace"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "aud": AUDIENCE, "sub": "robot-7", "tenant": "acme", "exp": NOW + 600, "iat": NOW, "nbf": NOW,
}  # fmt: skip


class Signer:
    """A private key with its id."""

    def __init__(self, private: Any, algorithm: str, kid: str) -> None:
        self.private, self.algorithm, self.kid = private, algorithm, kid

    def jwk(self, **said: Any) -> dict[str, Any]:
        kind: Any = {"R": RSAAlgorithm, "P": RSAAlgorithm, "E": ECAlgorithm}[self.algorithm[0]]
        kind = OKPAlgorithm if self.algorithm == "EdDSA" else kind
        public: dict[str, Any] = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, **said}

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A claim that is None is left out."""
        given = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
        headers = {"kid": self.kid} | (headers or {})
        return jwt.encode(given, self.private, self.algorithm, {k: v for k, v in headers.items() if v is not None})

    @property
    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem: bytes = self.private.public_key().public_bytes(serialization.Encoding.PEM, form)
        return pem


@functools.cache
def rsa_key(size: int = 2048) -> Any:
    return rsa.generate_private_key(65537, size)


@functools.cache
def signer(algorithm: str, kid: str | None = None) -> Signer:
    curves: dict[str, ec.EllipticCurve] = {
        "ES256": ec.SECP256R1(),
        "ES384": ec.SECP384R1(),
        "ES512": ec.SECP521R1(),
    }
    if algorithm == "EdDSA":
        private: Any = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(curves[algorithm]) if algorithm in curves else rsa_key()
    return Signer(private, algorithm, kid or f"kid-{algorithm}")


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
