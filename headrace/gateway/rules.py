"""What a tenant's settings make of a request: refused, or cut to what it may have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from headrace.client import PUBLIC_MODELS, UNARY_MODEL, Question
from headrace.config import Config
from headrace.errors import Forbidden, InvalidRequest, NotFound, PromptTooLong
from headrace.gateway.ask import Ask
from headrace.gateway.policies import LivePolicies, Policies
from headrace.gateway.token_counts import TokenCounts
from headrace.tenants.settings import Settings
from headrace.text.conversation import Conversation, PromptEncoder, conversation

PUBLIC = UNARY_MODEL
"""The one model that tenants know, by either of its doors."""
_SHORT = 20_000
"""Characters of a prompt that is tokenized at once; more of them would hold up others."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a request is served."""

    question: Question
    """As Triton gets it."""
    conversation: Conversation
    prompt_tokens: int
    max_tokens: int
    """Of one choice."""
    policy: str
    policy_version: str


class Rules:
    def __init__(self, config: Config, policies: LivePolicies) -> None:
        self._limits = config.limits
        self._encoder = PromptEncoder(config)
        self._policies = policies
        self._counts = TokenCounts()

    async def terms(self, settings: Settings, ask: Ask) -> Terms:
        """Raises `NotFound`, `Forbidden`, `InvalidRequest`."""
        if ask.model not in PUBLIC_MODELS:
            raise NotFound(f"model: there is no model {ask.model[:100]!r}; there is {PUBLIC!r}")
        if not settings.allows_model(PUBLIC):
            raise Forbidden(f"model: {PUBLIC!r} is not one of this tenant's models")
        policies = self._policies.current()
        policy = _policy(policies, settings, ask.question.guard_policy)
        asked = conversation(ask.question.text_input, ask.question.messages, self._limits)
        prompt_tokens = await self._count(asked, settings)
        max_tokens = self._max_tokens(ask.question.max_tokens, prompt_tokens, settings)
        question = replace(
            ask.question,
            max_tokens=max_tokens,
            guard_policy=policy,
            cache_scope=_scope(settings, ask.question.cache_scope),
        )
        return Terms(question, asked, prompt_tokens, max_tokens, policy, policies.versions[policy])

    async def _count(self, asked: Conversation, settings: Settings) -> int:
        prompt = asked.as_prompt()
        count = self._counts.get(prompt)
        if count is None:
            encode = self._encoder.encode
            short = len(prompt) <= _SHORT
            count = len(encode(asked) if short else await asyncio.to_thread(encode, asked))
            self._counts.put(prompt, count)
        most = settings.max_prompt_tokens
        if most is not None and count > most:
            raise PromptTooLong(asked.field, f"{count} tokens, this tenant may send {most}")
        return count

    def _max_tokens(self, asked: int | None, prompt_tokens: int, settings: Settings) -> int:
        """As the preprocess step cuts it, and to what the tenant may have."""
        wanted = self._limits.default_output_tokens if asked is None else asked
        if wanted < 1:
            raise InvalidRequest("max_tokens", f"got {wanted}, expected 1 or more")
        most = min(self._limits.max_output_tokens, self._encoder.context - prompt_tokens)
        if settings.max_output_tokens is not None:
            most = min(most, settings.max_output_tokens)
        return min(wanted, most)


def _policy(policies: Policies, settings: Settings, asked: str | None) -> str:
    name = settings.guard_policy or asked or policies.default
    if asked is not None and asked != name:
        raise Forbidden(f"guard_policy: this tenant's requests are judged by {name!r}; leave it out")
    if name not in policies.versions:
        raise InvalidRequest("guard_policy", f"no policy {name[:100]!r}; leave it out")
    return name


def _scope(settings: Settings, asked: str | None) -> str:
    """A client may narrow who shares its cached answers, never widen it."""
    return settings.cache_scope if asked is None else f"{settings.cache_scope}/{asked}"
