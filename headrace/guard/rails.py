"""Builds the rails that a policy file needs, and no others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext

import structlog

from headrace.errors import ConfigError
from headrace.guard.detoxify import CATEGORIES as OF_DETOXIFY
from headrace.guard.hidden import hidden
from headrace.guard.local_model import NotThere
from headrace.guard.policy import ClassifierConfig, DetoxifyConfig, PolicyFile, RailsConfig
from headrace.guard.rail import Rail
from headrace.guard.terms import CANARY, CanaryRail, TermsRail

log = structlog.get_logger()


def build(file: PolicyFile, environment: Mapping[str, str] = os.environ) -> list[Rail]:
    """Raises `StartupError` and its children when one cannot be built, or when none finds what a policy names."""
    builders = list(_builders(file.rails, environment))
    file.check_found({category for categories, _ in builders for category in categories})
    built = [make() for categories, make in builders if not categories.isdisjoint(file.categories)]
    # A checkpoint may find less than its kind.
    file.check_found({category for rail in built for category in rail.categories})
    return built


def _builders(
    config: RailsConfig, environment: Mapping[str, str]
) -> Iterator[tuple[frozenset[str], Callable[[], Rail]]]:
    """What each rail would find, and how to build it. Packages are imported only then: some take seconds."""
    yield frozenset({"injection"}), _injection
    if config.detoxify is None:
        yield frozenset({"toxicity"}), _toxicity
    else:
        yield OF_DETOXIFY, _detoxify(config.detoxify)
    yield frozenset(entity.lower() for entity in config.pii.entities), lambda: _pii(config)
    yield frozenset({"secret"}), _secrets
    yield frozenset({CANARY}), lambda: _canary(config, environment)
    for category, terms in config.terms.items():
        yield frozenset({category}), _terms(category, terms.terms)
    for name, classifier in config.classifiers.items():
        yield frozenset(classifier.labels.values()), _classifier(name, classifier)


def _injection() -> Rail:
    from headrace.guard.injection import InjectionRail

    return InjectionRail()


def _toxicity() -> Rail:
    from headrace.guard.toxicity import ToxicityRail

    return ToxicityRail()


def _detoxify(config: DetoxifyConfig) -> Callable[[], Rail]:
    def make() -> Rail:
        from headrace.guard.detoxify import DetoxifyRail

        try:
            return DetoxifyRail(config)
        except NotThere as error:
            if config.fallback is None:
                raise
            log.warning("the built-in toxicity rail judges instead of detoxify", problem=str(error))
        rail = _toxicity()
        rail.backend = f"fallback for detoxify: {rail.backend}"
        return rail

    return make


def _pii(config: RailsConfig) -> Rail:
    # Presidio imports torch where it is installed: 5 s and 280 MB, and no pattern needs it.
    with nullcontext() if config.pii.spacy_model else hidden("torch", "transformers"):
        from phonenumbers import SUPPORTED_REGIONS

        from headrace.guard.pii import PiiRail

        if unknown := set(config.pii.phone_regions) - SUPPORTED_REGIONS:
            raise ConfigError(f"rails.pii.phone_regions: no region {', '.join(sorted(unknown))}")
        return PiiRail(config.pii)


def _secrets() -> Rail:
    from headrace.guard.secrets import SecretsRail

    return SecretsRail()


def _canary(config: RailsConfig, environment: Mapping[str, str]) -> Rail:
    words = environment.get(config.canary_env, "").split()
    if not words:
        log.info("no canary is looked for", empty_variable=config.canary_env)
    return CanaryRail(words)


def _terms(category: str, terms: tuple[str, ...]) -> Callable[[], Rail]:
    def make() -> Rail:
        return TermsRail(category, category, terms)

    return make


def _classifier(name: str, config: ClassifierConfig) -> Callable[[], Rail]:
    def make() -> Rail:
        from headrace.guard.classifier import ClassifierRail

        return ClassifierRail(name, config)

    return make
