"""Presidio's recognizers, and ours where they leave a gap: numbers in any groups, quick phones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tldextract
from presidio_analyzer import LocalRecognizer, Pattern, PatternRecognizer, RecognizerResult, predefined_recognizers
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from headrace.errors import ConfigError
from headrace.guard.digits import BETWEEN, SSN, cards
from headrace.guard.iban import ibans
from headrace.guard.policy import PiiConfig


class OfWholeText(LocalRecognizer):
    """By a function whose time is in proportion to the text's length: it is asked once for all of the text."""

    def __init__(
        self, entity: str, find: Callable[[str], Iterable[tuple[int, int]]], context: Sequence[str]
    ) -> None:
        super().__init__([entity], context=list(context))
        self._find = find

    def load(self) -> None:
        pass

    def analyze(self, text: str, entities: list[str], *_: Any) -> list[RecognizerResult]:
        return [RecognizerResult(self.supported_entities[0], *span, 1.0) for span in self._find(text)]


class SsnRecognizer(PatternRecognizer):
    """US social security numbers: in groups by themselves, in one piece only beside a word for it."""

    PATTERNS = (Pattern("groups", SSN, 0.6), Pattern("one piece", r"(?<!\d)\d{9}(?!\d)", 0.05))

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
    _CANDIDATE = re.compile(rf"[+(]?\d(?:{BETWEEN}\d){{6,16}}")

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


_FORMS: dict[str, Callable[[], Any]] = {
    "CREDIT_CARD": lambda: OfWholeText("CREDIT_CARD", cards, ["card", "credit", "visa"]),
    "CRYPTO": predefined_recognizers.CryptoRecognizer,
    "EMAIL_ADDRESS": EmailRecognizer,
    "IBAN_CODE": lambda: OfWholeText("IBAN_CODE", ibans, ["iban", "bank", "account"]),
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
