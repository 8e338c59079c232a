"""Who uses the gateway: people that talk, that ask what everybody asks, that leave early.

Locust's statistics have, by tenant: `E2E` (its size: tokens), `TTFT` and `ITL` of answers that were made for this
user; the E2E of other ones as `CACHED`, `BLOCKED` and `LEFT` (early, by the user); and refusals, which are no
failures, as `429`.
"""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar

from locust import User, task
from locust.env import Environment

from perf.locust import tenants
from perf.locust.chat import Answer, Chat, ChatFailed, Refused
from perf.locust.conversation import Conversation, Messages, Questions, answer_tokens, around, load_questions

_LONGEST_STAY = 4
"""Pieces of text that a user who leaves early has seen."""
_AGAIN = frozenset({"hit", "join"})


class ChatUser(User):
    """Of one tenant; a user who has no key is anonymous."""

    abstract = True
    questions: ClassVar[Questions] = load_questions()

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        options = environment.parsed_options
        self.tenant, key = tenants.next_one(options.keys if options else None, type(self).__name__)
        self.think_seconds: float = options.think_seconds if options else 5.0
        self.chat = Chat(str(self.host), key)
        self.draw = random.Random()

    def on_stop(self) -> None:
        self.chat.close()

    def wait_time(self) -> float:
        """Reading and thinking, seconds."""
        return around(self.think_seconds, self.draw)

    def ask(self, messages: Messages, leave_after: int | None = None, **wishes: object) -> Answer | None:
        """None where there is no answer: a failure is counted, a refusal also waited for."""
        wish = {"model": "assistant", "messages": messages, "max_tokens": answer_tokens(self.draw)} | wishes
        try:
            answer = self.chat.ask(wish, leave_after)
        except Refused as refusal:
            self._count("429", refusal.ms)
            time.sleep(refusal.retry_after)  # gevent's: locust has patched it
            return None
        except ChatFailed as error:
            self._count("E2E", 0, error=error)
            return None
        self._count_answer(answer)
        return answer

    def _count_answer(self, answer: Answer) -> None:
        if answer.finish_reason == "content_filter":
            self._count("BLOCKED", answer.end_ms, answer.tokens)
            return
        if answer.cache in _AGAIN:
            self._count("CACHED", answer.end_ms, answer.tokens)
            return
        self._count("TTFT", answer.first_ms)
        if answer.left:
            self._count("LEFT", answer.end_ms)
            return
        self._count("E2E", answer.end_ms, answer.tokens)
        if answer.itl_ms is not None:
            self._count("ITL", answer.itl_ms)

    def _count(self, kind: str, ms: float, size: int = 0, error: Exception | None = None) -> None:
        event: dict[str, Any] = {"request_type": kind, "name": self.tenant, "response_time": ms}
        self.environment.events.request.fire(**event, response_length=size, exception=error, context={})


class Talker(ChatUser):
    """Has conversations; no two are alike."""

    weight = 6

    @task
    def talk(self) -> None:
        conversation = Conversation(self.questions, self.draw)
        while answer := self.ask(conversation.messages, temperature=0.7):
            if not conversation.goes_on(answer.text):
                return
            time.sleep(self.wait_time())


class Repeater(ChatUser):
    """Asks what others have asked in the same words; mostly the cache knows."""

    weight = 3

    @task
    def repeat(self) -> None:
        self.ask([{"role": "user", "content": self.draw.choice(self.questions.common)}], max_tokens=32)


class Leaver(ChatUser):
    """Closes the page while the answer still comes."""

    weight = 1

    @task
    def leave(self) -> None:
        conversation = Conversation(self.questions, self.draw)
        self.ask(conversation.messages, self.draw.randint(1, _LONGEST_STAY), temperature=0.7, max_tokens=256)
