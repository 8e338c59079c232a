"""Keys and passwords by the form that their issuers give them, and by the name before them.

Nothing is judged by entropy: hashes, UUIDs and identifiers in code have as much of it as keys have.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence

from headrace.guard.folding import fold
from headrace.guard.key_formats import keys
from headrace.guard.rail import Scores, Span

CATEGORY = "secret"
_BY_NAME = 0.9

_KEY_EDGE = re.compile(r"-----(?:BEGIN|(?P<end>END)) (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_REST_OF_KEY = re.compile(
    r"(?:[A-Za-z0-9+/=\\]{16,}+|(?:Comment|DEK-Info|Hash|Proc-Type|Version): [^\n]{0,100}|\s"
    r"|(?<=\n)[A-Za-z0-9+/=]{1,15}(?=\n|\Z))*"
)
_LONGEST_KEY = 16_384

_IN_ADDRESS = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:(?P<secret>[^\s/@]{3,200})@")
_SIGNATURE = re.compile(r"(?i)[?&]sig=(?P<secret>[A-Za-z0-9%+/=_-]{40,140})")
_AUTHORIZATION = re.compile(
    r"(?i)\b(?:(?P<basic>basic)|bearer|authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:api-?key|key|token))\s{1,4}"
    r"(?P<secret>[A-Za-z0-9+/_.~=-]{8,8000})"
)
# A name that promises a secret, then the secret. `token` and `pass` promise less than the others.
_NAMED = re.compile(
    r"(?i)(?-i:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    r"(?:password|passwd|passphrase|passcode|pwd|secret|credentials?"
    r"|(?:access|account|api|auth|bot|client|deploy|encryption|master|personal[ _-]?access|private|refresh|secret"
    r"|secret[ _-]?access|session|shared[ _-]?access|shared|signing|storage|subscription|webhook)"
    r"[ _-]?(?:key|secret|token)"
    r"|passwort|kennwort|contrase(?:ñ|n)a|mot de passe|senha"
    r"|(?P<weak>token|(?-i:[Pp]ass|(?<=[_-])PASS)))\d?"
    r"[\"'`*\]\\]{0,4}\s{0,3}(?::=|=>|={1,3}|::?|>|\b(?P<spoken>(?:is|was|ist|es|est|é)\b:?))\s{0,3}[*\\(]{0,3}\s{0,3}"
    r"(?P<quote>[\"'`])?(?P<secret>(?(quote)[^\s\"'`]|[^\s\"',;<>(){}\[\]]){6,4000})(?<!\\)"
)
_HINTS = ("pass", "pwd", "secret", "key", "token", "credential", "kennwort", "contrase", "senha")

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_A-Za-z]+")
# Words that stand in for a secret, or name or fetch one.
_NO_SECRET = frozenset(
    """
    a access account an any api args argv auth authorization await base bearer bool boolean bytes can cfg change
    changeme char client conf config configuration context correct crypt crypto ctx current data decode decrypt
    default dict digest dummy e empty encode encrypt encrypted enter env environ environment error example
    expired fake false field file float for form from g generate get has hash hashed header headers here hidden
    id in incorrect input insert int integer invalid is it json key keys kwargs len length list load make masked
    me message missing mock must my name new nil no none not null number obj object of on option optional
    options or os param params pass passphrase passwd password path placeholder plain post private process
    prompt props public put pwd random raw read redacted redirect removed replace req request required res
    response result s sample save secret secrets self session set setting settings should some state str string
    strong test text that the this to token tokens true type types undefined unset update uri url user username
    util utils valid value values var variable was weak will with wrong x you your
    """.split()  # noqa: SIM905
)
_STANDS_IN = re.compile(
    r"\*{3}|\.{3}|…|(?i:x){5}|\A(?i:your|my|example|sample|dummy|insert|replace)[_-]|\Ahttps?://"
)
_VARIABLE = re.compile(r"\$(?:[A-Z][A-Z0-9_]*|[a-z_][A-Za-z_]*\d?)|%\w+%|@\w+@|%[a-z]")
# Of code, after a name alone: a variable, a number, a path
_OF_CODE = re.compile(
    r"[A-Za-z]+(?:_+[A-Za-z]+)+|0x[0-9A-Fa-f]+|[.~]{0,2}/(?:[A-Za-z]+|\d+)(?:[-_./]+(?:[A-Za-z]+|\d+))*"
)
_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+")
# Talk about the kind of a secret has digits, too: `SHA256-hashed`, `OAuth2`.
_KINDS = re.compile(
    r"(?i)(?:aes|argon|base|e[cs]|float|hs|ipv|md|oauth|pbkdf|pkcs|rs|rsa|s|sha|u?int|utf|web|x)-?\d{1,4}|\d+fa\b|bcrypt"
)
_PLAIN_WORDS = re.compile(r"(?:[A-Za-z]+|\d+)(?:[-_./:@]+(?:[A-Za-z]+|\d+))*")
_PASSPHRASE = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+){2,}")
_SIGN = re.compile(r"[^\w\s.:/'’,-]")
_FEWEST = 8


class SecretsRail:
    name = "secrets"
    categories = frozenset({CATEGORY})
    points = True
    backend = "headrace.guard.secrets:3"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores.of_spans(_spans(text)) for text in texts]


def _spans(text: str) -> list[Span]:
    folded = fold(text)
    found = []
    for start, end, score in _found(folded.text):
        found.append(Span(*folded.original(start, end), CATEGORY, score))
    return found


def _found(text: str) -> Iterator[tuple[int, int, float]]:
    for key in keys(text):
        yield (*key, 1.0)
    lowered = text.lower()
    if "-----begin" in lowered:
        for key in _private_keys(text):
            yield (*key, 1.0)
    for hints, pattern, is_secret in _LOOKS:
        if any(map(lowered.__contains__, hints)):
            for match in pattern.finditer(text):
                if is_secret(match):
                    yield (*match.span("secret"), _BY_NAME)


def _private_keys(text: str) -> Iterator[tuple[int, int]]:
    """From its first line to its last one. Without a last one as far as lines look like a key's."""
    begun: re.Match[str] | None = None
    for edge in _KEY_EDGE.finditer(text):
        if begun is not None:
            closed = edge["end"] and edge.end() - begun.start() <= _LONGEST_KEY
            yield begun.start(), edge.end() if closed else _end_of_key(text, begun)
        begun = None if edge["end"] else edge
    if begun is not None:
        yield begun.start(), _end_of_key(text, begun)


def _end_of_key(text: str, begun: re.Match[str]) -> int:
    rest = _REST_OF_KEY.match(text, begun.end(), begun.end() + _LONGEST_KEY)
    return rest.end() if rest else begun.end()


def _in_address(match: re.Match[str]) -> bool:
    return not _stands_in(match["secret"])


def _authorizes(match: re.Match[str]) -> bool:
    """`Bearer` and `basic` are words too: what follows has to look like what a header holds."""
    value = match["secret"]
    if match["basic"]:
        try:
            return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        except binascii.Error:
            return False
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return len(value) >= 2 * _FEWEST and mixed and not _PLAIN_WORDS.fullmatch(value) and not _stands_in(value)


def _is_named(match: re.Match[str]) -> bool:
    """After a name a plain word or number is more often talk of a secret than one."""
    value, spoken, quoted = match["secret"].rstrip(".,:;?*`\\"), match["spoken"], match["quote"]
    value = value.rstrip("!") if spoken else value
    follows = match.string[match.end() : match.end() + 1]
    if _stands_in(value) or _OF_CODE.fullmatch(value):
        return False
    if not quoted and (follows in {"(", "["} or _refers(value)):
        return False
    digits, letters = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    if match["weak"] or spoken:
        fewest = _FEWEST if match["weak"] else 1
        wordy = _PLAIN_WORDS.fullmatch(value) or not any(map(str.isdigit, _KINDS.sub("", value)))
        alone = value.isalnum() and digits and letters
        return digits and letters and len(value) >= fewest and (alone or not wordy)
    sign = _SIGN.search(value)
    if not letters:
        return bool(digits and sign)
    return bool(digits or sign or _PASSPHRASE.fullmatch(value))


def _refers(value: str) -> bool:
    """An attribute of something in code."""
    return bool(_REFERENCE.fullmatch(value)) and not any(map(str.isdigit, value))


def _stands_in(value: str) -> bool:
    """Stands where a secret would: a word for one, a variable, what is left of one that was hidden."""
    if len(set(value.casefold())) < 3 or _STANDS_IN.search(value) or _VARIABLE.fullmatch(value):
        return True
    words = _WORDS.findall(value)
    if len(words) > 1 and re.search(r"[_.]", value):  # `self.password_2`
        words = [word for word in words if not (word.isdigit() and len(word) < 3)]
    return all(word.lower() in _NO_SECRET for word in words)


_LOOKS: tuple[tuple[tuple[str, ...], re.Pattern[str], Callable[[re.Match[str]], bool]], ...] = (
    (("://",), _IN_ADDRESS, _in_address),
    (("sig=",), _SIGNATURE, _in_address),
    (("bearer", "basic", "authorization"), _AUTHORIZATION, _authorizes),
    (_HINTS, _NAMED, _is_named),
)
