"""The driver against a door that notes what it is asked."""

from __future__ import annotations

import asyncio

import pytest

from headrace import paths
from headrace.text.chat import ChatTemplate
from headrace.text.tokenizer import Tokenizer
from redteam.case import Case
from redteam.door import Answer, Door, NoAnswer, Request
from redteam.drive import AT_A_TIME, NEIGHBOURS, Driver, Target
from redteam.judgement import FORMS
from tests.redteam.answers import REFUSAL, answer, benign, card, case, part, refused


class FakeDoor(Door):
    """Blocks what says "Ignore" and repeats all else."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Request]] = []
        self.most_at_once = 0
        self._at_once = 0

    async def whole(self, request: Request) -> Answer:
        return await self._answer("whole", request)

    async def stream(self, request: Request) -> Answer:
        return await self._answer("stream", request)

    async def _answer(self, how: str, request: Request) -> Answer:
        self.asked.append((how, request))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.001)
        self._at_once -= 1
        text = "\n".join(message.text for message in request.messages)
        return refused(injection=0.9) if "Ignore" in text else answer(text)


@pytest.fixture(scope="module")
def template() -> ChatTemplate:
    return ChatTemplate(paths.default_model(), Tokenizer(paths.default_model()))


@pytest.fixture
def own(template: ChatTemplate) -> Target:
    return Target("unused", {"prompt": "standard", "response": "answers"}, template)


async def test_a_case_is_asked_in_every_form(own: Target) -> None:
    door = FakeDoor()
    outcomes = await Driver(door, own).run([case(), benign()])
    assert [(o.case.id, o.form, o.right) for o in outcomes] == [
        (one, form, True) for one in ("one", "two") for form in FORMS
    ]
    texts = [(how, request.messages[0].text) for how, request in door.asked]
    attack = case().text or ""
    assert texts.count(("whole", attack)) == 1
    assert texts.count(("stream", attack)) == 2
    assert [texts.count(("stream", text)) for text in NEIGHBOURS] == [2, 2]


async def test_the_answer_is_long_enough_to_repeat_the_prompt(own: Target, template: ChatTemplate) -> None:
    door = FakeDoor()
    await Driver(door, own).run([benign()])
    for _, request in door.asked:
        assert request.max_tokens == len(template.encode(request.messages))
        assert request.policy == "standard"


async def test_a_conversation_keeps_its_roles(own: Target) -> None:
    door = FakeDoor()
    turns = [{"role": "system", "text": "Be kind."}, {"text": "Hello?"}]
    await Driver(door, own).run([benign(text=None, messages=turns)])
    assert [(m.role, m.text) for m in door.asked[0][1].messages] == [("system", "Be kind."), ("user", "Hello?")]
    sent = {tensor.name for tensor in door.asked[0][1].message("assistant").inputs}
    assert sent == {"messages", "max_tokens", "guard_policy"}


async def test_only_so_many_cases_run_at_once(own: Target) -> None:
    door = FakeDoor()
    await Driver(door, own).run([benign(id=f"case-{n}") for n in range(3 * AT_A_TIME)])
    assert AT_A_TIME <= door.most_at_once <= 3 * AT_A_TIME


async def test_a_server_of_somebody_else_is_asked_no_cases_of_answers() -> None:
    door = FakeDoor()
    outcomes = await Driver(door, Target("unused", {"prompt": None})).run([card(), case()])
    assert {o.case.id for o in outcomes} == {"one"}
    assert {request.policy for _, request in door.asked} == {None}


async def test_a_guard_that_stops_the_second_stream_alone_is_right_and_one_that_stops_all_is_not(
    own: Target,
) -> None:
    class Nervous(FakeDoor):
        async def stream(self, request: Request) -> Answer:
            return refused(injection=0.9)

    outcomes = {o.form: o for o in await Driver(Nervous(), own).run([case()])}
    assert outcomes["stream"].right
    assert outcomes["n=3"].happened == "; ".join(["beside it: block: injection 0.90"] * 2)


@pytest.mark.parametrize("form", FORMS)
async def test_a_request_that_fails_is_told_and_stops_nobody_else(own: Target, form: str) -> None:
    class Broken(FakeDoor):
        async def _answer(self, how: str, request: Request) -> Answer:
            if request.messages[0].text == "Fail.":
                raise NoAnswer("UNAVAILABLE: gone")
            return await super()._answer(how, request)

    cases: list[Case] = [benign(id="fails", text="Fail."), benign()]
    found = {(o.case.id, o.form): o for o in await Driver(Broken(), own).run(cases)}
    assert {(o.right, o.failed) for (one, _), o in found.items() if one == "two"} == {(True, False)}
    failed = next(o for (one, at), o in found.items() if (one, at) == ("fails", form))
    assert (failed.failed, failed.right, failed.happened) == (True, False, "no answer: UNAVAILABLE: gone")


def test_an_answer_in_pieces_is_their_sum() -> None:
    given = answer("I cannot ", "help ", "with that.", prompt=part("block"))
    assert (given.text, given.completion_tokens) == (REFUSAL, 0)
