from __future__ import annotations

from headrace import paths
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from headrace.text.tokenizer import Tokenizer
from perf.prompts import PromptMaker


def test_prompts_have_the_length_asked_for_and_differ() -> None:
    model = paths.default_model()
    prompts = PromptMaker(model, seed=1).make(50, 241)
    template = ChatTemplate(model, Tokenizer(model))
    assert {len(template.encode([Message("user", prompt.text)])) for prompt in prompts} == {241}
    assert all(template.encode([Message("user", p.text)]) == list(p.token_ids) for p in prompts)
    assert len({prompt.token_ids for prompt in prompts}) == 50


def test_a_seed_gives_the_same_prompts_again() -> None:
    model = paths.default_model()
    assert PromptMaker(model, 5).make(3, 100) == PromptMaker(model, 5).make(3, 100)
    assert PromptMaker(model, 5).make(3, 100) != PromptMaker(model, 6).make(3, 100)
