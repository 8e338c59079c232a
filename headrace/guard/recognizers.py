"""Presidio's recognizers, and ours where they leave a gap: cards and IBANs in any groups, SSNs, quick phones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import tldextract
from presidio_analyzer import Pattern, PatternRecognizer, RecognizerResult, predefined_recognizers
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from headrace.errors import ConfigError
from headrace.guard.policy import PiiConfig

_BETWEEN = r"[\s.\-\u2010-\u2015/]{0,3}"
_APART = r"\s{0,2}[-.\u2010-\u2015\s]\s{0,2}"
_MODULUS_97 = 97


class CardRecognizer(PatternRecognizer):
    """12 to 19 digits in any groups, whose check digit is right (ISO/IEC 7812)."""

    PATTERNS = (Pattern("card", rf"(?<![\d.])[2-6](?:{_BETWEEN}\d){{11,18}}(?!\d)", 0.3),)

    def __init__(self) -> None:
        super().__init__("CREDIT_CARD", patterns=list(self.PATTERNS), context=["card", "credit", "visa"])

    def validate_result(self, pattern_text: str) -> bool | None:
        digits = [int(character) for character in pattern_text if character.isdigit()]
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
        return (sum(digits[::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


class IbanRecognizer(PatternRecognizer):
    """Country, check digits and account in any groups, whose remainder is right (ISO 13616)."""

    PATTERNS = (Pattern("iban", rf"(?<![A-Za-z0-9])[A-Za-z]{{2}}\d{{2}}(?:{_BETWEEN}[A-Za-z0-9]){{11,30}}", 0.3),)

    def __init__(self) -> None:
        super().__init__("IBAN_CODE", patterns=list(self.PATTERNS), context=["iban", "bank", "account"])

    def analyze(self, text: str, entities: list[str], *_: Any, **__: Any) -> list[RecognizerResult]:
        """An IBAN may be followed by words that look like more of it: its country says how long it is."""
        found = []
        for match in re.finditer(self.PATTERNS[0].regex, text):
            length = _IBAN_LENGTHS.get(match[0][:2].upper())
            places = [place for place, character in enumerate(match[0]) if character.isalnum()]
            if length is None or len(places) < length:
                continue
            iban = "".join(match[0][place] for place in places[:length]).upper()
            if _remainder(iban) == 1:
                end = match.start() + places[length - 1] + 1
                found.append(RecognizerResult("IBAN_CODE", match.start(), end, 1.0))
        return found


def _remainder(iban: str) -> int:
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % _MODULUS_97


# Of the IBAN registry (SWIFT, release 99).
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip


class SsnRecognizer(PatternRecognizer):
    """US social security numbers: in groups by themselves, in one piece only beside a word for it."""

    PATTERNS = (
        Pattern("groups", rf"(?<![\d-])\d{{3}}{_APART}\d{{2}}{_APART}\d{{4}}(?![\d-])", 0.6),
        Pattern("one piece", r"(?<!\d)\d{9}(?!\d)", 0.05),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__("US_SSN", patterns=list(self.PATTERNS), context=["ssn", "social security", "social sec"])

    def invalidate_result(self, pattern_text: str) -> bool | None:
        """Never given out: area 000, 666 and 9xx, group 00, serial 0000 (Social Security Administration)."""
        digits = "".join(character for character in pattern_text if character.isdigit())
        return digits[:3] in {"000", "666"} or digits[0] == "9" or digits[3:5] == "00" or digits[5:] == "0000"


class EmailRecognizer(predefined_recognizers.EmailRecognizer):
    """By the list of domains that comes with the package: Presidio's would ask the network for a newer one."""

    _domains = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    def validate_result(self, pattern_text: str) -> bool:
        return bool(self._domains(pattern_text).top_domain_under_public_suffix)


class PhoneRecognizer(predefined_recognizers.PhoneRecognizer):
    """Looks only where so many digits stand together: libphonenumber takes milliseconds for every line.

    Of very many in one text it is asked for the first ones; the rest counts as phones by its looks.
    """

    MOST = 32
    _CANDIDATE = re.compile(r"[+(]?\d(?:[\s().\-\u2010-\u2015/]{0,3}\d){6,16}")

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        return list(self._found(text, entities, nlp_artifacts))

    def _found(self, text: str, entities: list[str], nlp_artifacts: Any) -> Iterator[RecognizerResult]:
        for number, candidate in enumerate(self._CANDIDATE.finditer(text)):
            if number >= self.MOST:
                yield RecognizerResult("PHONE_NUMBER", *candidate.span(), self.SCORE)
                continue
            # With what stands around it: a number within a longer one is none.
            start = max(0, candidate.start() - 2)
            for found in super().analyze(text[start : candidate.end() + 8], entities, nlp_artifacts):
                found.start += start
                found.end += start
                yield found


_FORMS: dict[str, Any] = {
    "CREDIT_CARD": CardRecognizer,
    "CRYPTO": predefined_recognizers.CryptoRecognizer,
    "EMAIL_ADDRESS": EmailRecognizer,
    "IBAN_CODE": IbanRecognizer,
    "IP_ADDRESS": predefined_recognizers.IpRecognizer,
    "MAC_ADDRESS": predefined_recognizers.MacAddressRecognizer,
    "MEDICAL_LICENSE": predefined_recognizers.MedicalLicenseRecognizer,
    "UK_NHS": predefined_recognizers.NhsRecognizer,
    "US_BANK_NUMBER": predefined_recognizers.UsBankRecognizer,
    "US_DRIVER_LICENSE": predefined_recognizers.UsLicenseRecognizer,
    "US_ITIN": predefined_recognizers.UsItinRecognizer,
    "US_PASSPORT": predefined_recognizers.UsPassportRecognizer,
    "US_SSN": SsnRecognizer,
}


def by_form(config: PiiConfig) -> list[Any]:
    """Those of the wanted entities that a pattern finds."""
    found = [_FORMS[entity]() for entity in config.entities if entity in _FORMS]
    if "PHONE_NUMBER" in config.entities:
        found.append(PhoneRecognizer(supported_regions=config.phone_regions))
    return found


def by_model(config: PiiConfig) -> Any | None:
    """What finds names and places, by the spaCy model. Raises `ConfigError` when it is not installed."""
    if config.spacy_model is None:
        return None
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": config.spacy_model}])
    try:
        engine.load()
    except (OSError, ImportError, SystemExit) as error:
        raise ConfigError(f"rails.pii.spacy_model: {config.spacy_model} is not installed: {error}") from None
    return _ByModel(engine)


class _ByModel(predefined_recognizers.SpacyRecognizer):
    def __init__(self, engine: SpacyNlpEngine) -> None:
        super().__init__()
        self._engine = engine

    def analyze(self, text: str, entities: list[str], *_: Any) -> list[RecognizerResult]:
        return list(super().analyze(text, entities, self._engine.process_text(text, "en")))
