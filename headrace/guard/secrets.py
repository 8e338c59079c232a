"""Keys and passwords by the form that their issuers give them, and by the name before them.

Formats are the issuers' own (prefix, alphabet, length). Nothing is judged by entropy: hashes, UUIDs and
identifiers in code have as much of it as keys have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headrace.guard.folding import fold
from headrace.guard.rail import Scores, Span

CATEGORY = "secret"

_FORMATS = (
    r"A(?:KIA|SIA|GPA|IDA|ROA|NPA|NVA)[A-Z2-7]{16}",  # AWS access key
    r"gh[pousr]_[A-Za-z0-9]{36,255}",  # GitHub tokens
    r"github_pat_[A-Za-z0-9_]{60,255}",
    r"glpat-[A-Za-z0-9_-]{20,64}",  # GitLab
    r"xox[abeoprs]-(?:\d{6,}-)*[A-Za-z0-9-]{10,200}",  # Slack
    r"xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{20,128}",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{24,128}",
    r"sk-(?:proj|svcacct|admin|ant-[a-z0-9]+)-[A-Za-z0-9_-]{20,250}",  # OpenAI, Anthropic
    r"sk-[A-Za-z0-9]{32,64}",
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_-]{20,400}",
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"hf_[A-Za-z0-9]{30,64}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,400}",
    r"dop_v1_[a-f0-9]{64}",  # DigitalOcean
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",  # SendGrid
    r"SK[a-f0-9]{32}",  # Twilio
    r"AC[a-f0-9]{32}",
    r"key-[a-f0-9]{32}",  # Mailgun
    r"[a-f0-9]{32}-us\d{1,2}",  # Mailchimp
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",  # Shopify
    r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}",  # Square
    r"EAAA[A-Za-z0-9_-]{60}",
    r"nvapi-[A-Za-z0-9_-]{40,100}",  # NVIDIA
    r"hvs\.[A-Za-z0-9_-]{24,200}",  # Vault
    r"dapi[a-f0-9]{32}(?:-\d)?",  # Databricks
    r"lin_api_[A-Za-z0-9]{40}",
    r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",  # Postman
    r"rubygems_[a-f0-9]{48}",
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram
    r"[MN][A-Za-z\d]{23,25}\.[\w-]{6}\.[\w-]{27,38}",  # Discord
    r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    r"eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}",  # JSON web token
)
_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_FORMATS)})(?![A-Za-z0-9])")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,8000}?"
    r"(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:(?P<secret>[^\s:/@]{3,200})@")
# A name that promises a secret, then the secret. What is plainly no secret is left out below.
_NAMED = re.compile(
    r"(?i)(?<![a-z])(?:[a-z0-9]{1,30}[_-])?(?:password|passwd|pwd|secret|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|"
    r"auth[_-]?token|access[_-]?token|client[_-]?secret|private[_-]?key|account[_-]?key|"
    r"passwort|kennwort|contrase(?:ñ|n)a|mot de passe|senha)"
    r"[\"']?\s{0,3}(?::=|=>|=|:|\b(?:is|ist|es|est|é)\b)\s{0,3}[\"']?(?P<secret>[^\s\"',;<>(){}\[\]]{6,200})"
)
_AUTHORIZATION = re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<secret>[A-Za-z0-9+/_.=-]{16,2000})")
_NO_SECRET = re.compile(
    r"(?i)(?:\$|%|your|my|some|the|xxx|\*\*|\.\.\.|example|changeme|placeholder|redacted|none|null|true|false|undefined|"
    r"os\.|env|process\.|self\.|get|config|settings|string|required|optional|str$|input|prompt)"
)


class SecretsRail:
    name = "secrets"
    categories = frozenset({CATEGORY})
    points = True
    backend = "headrace.guard.secrets:2"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores.of_spans(_spans(text)) for text in texts]


def _spans(text: str) -> list[Span]:
    folded = fold(text)
    found = []
    for span in _found(folded.text):
        start, end = folded.original(span.start, span.end)
        found.append(Span(start, end, span.category, span.score))
    return found


def _found(text: str) -> Iterator[Span]:
    for pattern in (_PRIVATE_KEY, _KEY):
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), CATEGORY)
    for pattern in (_IN_ADDRESS, _NAMED, _AUTHORIZATION):
        for match in pattern.finditer(text):
            if _is_secret(match["secret"], named=pattern is _NAMED):
                yield Span(match.start("secret"), match.end("secret"), CATEGORY, 0.9)


def _is_secret(value: str, named: bool) -> bool:
    """After a name a plain word or number is more often talk of a secret than one."""
    if _NO_SECRET.match(value):
        return False
    kinds = sum((any(map(str.isdigit, value)), any(map(str.isalpha, value)), not value.isalnum()))
    return not named or kinds >= 2
