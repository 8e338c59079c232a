"""Builds the rails that a policy file needs, and no others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from headrace.guard.policy import PolicyFile, RailsConfig
from headrace.guard.rail import Rail

CANARY = "canary"


def build(file: PolicyFile, environment: Mapping[str, str] = os.environ) -> list[Rail]:
    """Raises `StartupError` and its children when one cannot be built, or when none finds what a policy names."""
    builders = list(_builders(file.rails, environment))
    file.check_found({category for categories, _ in builders for category in categories})
    return [make() for categories, make in builders if not categories.isdisjoint(file.categories)]


def _builders(
    config: RailsConfig, environment: Mapping[str, str]
) -> Iterator[tuple[frozenset[str], Callable[[], Rail]]]:
    """What each rail would find, and how to build it. Packages are imported only then: some take seconds."""
    yield frozenset({"injection"}), _injection
    yield frozenset({"toxicity"}), _toxicity
    yield frozenset(entity.lower() for entity in config.pii.entities), lambda: _pii(config)
    yield frozenset({"secret"}), _secrets
    yield frozenset({CANARY}), lambda: _canary(config, environment)
    for category, terms in config.terms.items():
        yield frozenset({category}), _terms(category, terms.terms)


def _injection() -> Rail:
    from headrace.guard.injection import InjectionRail

    return InjectionRail()


def _toxicity() -> Rail:
    from headrace.guard.toxicity import ToxicityRail

    return ToxicityRail()


def _pii(config: RailsConfig) -> Rail:
    from headrace.guard.pii import PiiRail

    return PiiRail(config.pii)


def _secrets() -> Rail:
    from headrace.guard.secrets import SecretsRail

    return SecretsRail()


def _canary(config: RailsConfig, environment: Mapping[str, str]) -> Rail:
    from headrace.guard.terms import TermsRail

    words = environment.get(config.canary_env, "").split()
    return TermsRail(CANARY, CANARY, words)


def _terms(category: str, terms: tuple[str, ...]) -> Callable[[], Rail]:
    def make() -> Rail:
        from headrace.guard.terms import TermsRail

        return TermsRail(category, category, terms)

    return make
