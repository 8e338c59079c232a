"""The guard of prompts: what came in, as it may go on to the engine, and whether it may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.config import LimitsConfig
from headrace.guard.judge import FIELD, Asked, Judge, Judged
from headrace.guard.live import LivePolicy
from headrace.guard.policy import Policy
from headrace.guard.record import DecisionLog
from headrace.guard.verdict import PromptVerdict, Verdict
from headrace.guard.windows import Window
from headrace.text.conversation import Conversation
from headrace.text.messages import Message
from headrace.triton import tensors
from headrace.triton.prompt import read_conversation
from headrace.triton.tensors import Request

MAX_NAME_BYTES = 256
CheckLength = Callable[[Conversation], object]
FIRST_TOKENS = 3
"""Tokens of a windowed stream that travel alone: the first word can be judged once the next one has begun."""
# Who writes them instructs the model by right; all other categories hold for them too.
_SYSTEM_MAY = frozenset({"injection"})


@dataclass(frozen=True, slots=True)
class GuardedPrompt:
    prompt: str
    """For the input `prompt` of the next step: the conversation, redacted."""
    verdict: PromptVerdict
    first_tokens: int

    @property
    def blocked(self) -> bool:
        return self.verdict.blocked


@dataclass(frozen=True, slots=True)
class _Asker:
    request_id: str
    conversation: Conversation
    name: str
    policy: Policy

    def asked(self) -> list[Asked]:
        return [
            Asked(
                self.name,
                "prompt",
                Window("", message.text),
                _SYSTEM_MAY if message.role == "system" and self.policy.trust_system else frozenset(),
            )
            for message in self.conversation.messages
        ]

    def guarded(self, verdict: Verdict, judged: Sequence[Judged]) -> GuardedPrompt:
        messages = [_shown(*pair) for pair in zip(self.conversation.messages, judged, strict=True)]
        said = Conversation(self.conversation.field, messages).as_prompt()
        first_tokens = FIRST_TOKENS if self.policy.stream == "windowed" else 1
        return GuardedPrompt(said, PromptVerdict.of(verdict), first_tokens)


def _shown(message: Message, judged: Judged) -> Message:
    if judged.verdict.action != "redact":
        return message
    return Message(message.role, judged.text, message.name)


class PromptGuard:
    """Used from one thread."""

    def __init__(
        self, policy: LivePolicy, limits: LimitsConfig, decisions: DecisionLog, check_length: CheckLength
    ) -> None:
        """`check_length` raises `InvalidRequest` for a conversation that is too long for the engine."""
        self._policy = policy
        self._limits = limits
        self._check_length = check_length
        self._decisions = decisions

    def judge(self, batch: Sequence[Request]) -> list[GuardedPrompt | Exception]:
        """One result a request, in the same order: an error concerns nobody else."""
        judge = self._policy.judge()
        askers = [self._read(judge, request) for request in batch]
        asked = [[] if isinstance(asker, Exception) else asker.asked() for asker in askers]
        return [
            asker if isinstance(asker, Exception) else self._guarded(judge, asker, judged)
            for asker, judged in zip(askers, judge.judge_each(asked), strict=True)
        ]

    def _guarded(self, judge: Judge, asker: _Asker, judged: Sequence[Judged]) -> GuardedPrompt:
        verdict = Verdict.none(asker.name, asker.policy, "prompt").merged(*(one.verdict for one in judged))
        text = self._decisions.hash()
        for message in asker.conversation.messages:
            text.add(f"{message.text}\0")
        backends = judge.backends(asker.name, "prompt")
        self._decisions.write(asker.request_id, verdict, asker.policy, backends, text)
        return asker.guarded(verdict, judged)

    def _read(self, judge: Judge, request: Request) -> _Asker | Exception:
        try:
            name, policy = judge.policy(tensors.text(request.get, FIELD, MAX_NAME_BYTES))
            conversation = read_conversation(request.get, self._limits)
            if sum(len(message.text) for message in conversation.messages) > self._limits.max_prompt_tokens:
                # It may have too many tokens, and judging so much would hold up everybody.
                self._check_length(conversation)
            return _Asker(request.id, conversation, name, policy)
        except Exception as error:  # noqa: BLE001 - told to the client
            return error
