"""One table of bad inputs, sent in every dialect, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.hazards.cases import (
    ANSWERED,
    BODIES,
    EVERYWHERE,
    JUDGED,
    TENSORS,
    TEXTS,
    WRITTEN,
    Hazard,
    schema,
)
from tests.gateway.hazards.dialects import DIALECTS, GENERATE, GRPC, INFER, OPENAI, OVER_HTTP, Dialect, Outcome
from tests.gateway_stack import GatewayStack
from tests.triton.tensors import grpc_request

TENSOR_DIALECTS = [dialect for dialect in DIALECTS if dialect.tensors]
PLACE = "@place@"


def statuses(found: dict[Dialect, Outcome]) -> dict[str, int]:
    return {dialect.name: outcome.status for dialect, outcome in found.items()}


def ask_all(stack: GatewayStack, inputs: dict[str, Any], dialects: tuple[Dialect, ...]) -> dict[Dialect, Outcome]:
    return {dialect: dialect.ask(stack, inputs) for dialect in dialects}


@pytest.mark.parametrize("hazard", EVERYWHERE, ids=str)
def test_it_is_refused_in_every_dialect(gateway_stack: GatewayStack, hazard: Hazard) -> None:
    found = ask_all(gateway_stack, hazard.request, DIALECTS)
    # gRPC itself refuses what is too big, with a code of its own.
    expected = {one: 429 if hazard.status == 413 and not one.path else hazard.status for one in DIALECTS}
    assert statuses(found) == {dialect.name: status for dialect, status in expected.items()}
    for outcome in found.values():
        assert hazard.says in outcome.says
        assert len(outcome.says) < 1000


@pytest.mark.parametrize("hazard", ANSWERED, ids=str)
def test_it_is_answered_in_every_dialect_alike(gateway_stack: GatewayStack, hazard: Hazard) -> None:
    found = ask_all(gateway_stack, hazard.request, DIALECTS)
    assert statuses(found) == dict.fromkeys(map(str, DIALECTS), 200)
    assert len({outcome.text for outcome in found.values()}) == 1
    assert {outcome.finish_reason for outcome in found.values()} <= {"length", "stop"}


@pytest.mark.parametrize("hazard", JUDGED, ids=str)
def test_the_guards_say_the_same_in_every_dialect(gateway_stack: GatewayStack, hazard: Hazard) -> None:
    found = ask_all(gateway_stack, hazard.request, DIALECTS)
    assert statuses(found) == dict.fromkeys(map(str, DIALECTS), 200)
    assert len({(outcome.text, outcome.finish_reason) for outcome in found.values()}) == 1


def test_an_attack_is_stopped_in_every_dialect(gateway_stack: GatewayStack) -> None:
    found = ask_all(gateway_stack, JUDGED[0].request, DIALECTS)
    assert {outcome.finish_reason for outcome in found.values()} == {"content_filter"}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_value_that_only_json_can_hold(gateway_stack: GatewayStack, name: str) -> None:
    for value in WRITTEN[name]:
        wanted = Hazard("", {name: value})
        found = ask_all(gateway_stack, wanted.request, OVER_HTTP)
        assert statuses(found) == dict.fromkeys(map(str, OVER_HTTP), 400), value


@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_that_does_not_fit(gateway_stack: GatewayStack, case: str) -> None:
    name, tensor = TENSORS[case]
    found = ask_all(gateway_stack, {"text_input": "Hi", name: tensor}, tuple(TENSOR_DIALECTS))
    assert statuses(found) == {dialect.name: 400 for dialect in TENSOR_DIALECTS}
    assert all(name in outcome.says for outcome in found.values())


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_request(gateway_stack: GatewayStack, case: str) -> None:
    body, status = BODIES[case]
    found = {dialect: dialect.post(gateway_stack, body) for dialect in OVER_HTTP}
    assert statuses(found) == dict.fromkeys(map(str, OVER_HTTP), status)


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("name", ["text_input", "stop_words"])
def test_bytes_that_are_no_text(gateway_stack: GatewayStack, case: str, name: str) -> None:
    value: Any = {"text_input": PLACE, "stop_words": [PLACE]}[name]
    asked = Hazard("", {name: value}).request
    found = {
        one: one.post(gateway_stack, one.body(asked).replace(PLACE.encode(), TEXTS[case])) for one in OVER_HTTP
    }
    raw: Any = {"text_input": TEXTS[case], "stop_words": [TEXTS[case]]}[name]
    found |= {one: one.ask(gateway_stack, asked | {name: raw}) for one in DIALECTS if not one.path}
    assert statuses(found) == dict.fromkeys(map(str, DIALECTS), 400)


@pytest.mark.parametrize("escape", [r"\ud800", r"\udc00\ud800", r"\ud83d a", r"\u12", r"\x41"])
def test_escapes_that_are_no_character(gateway_stack: GatewayStack, escape: str) -> None:
    body = {one: one.body({"text_input": PLACE, "max_tokens": 4}) for one in OVER_HTTP}
    found = {one: one.post(gateway_stack, body[one].replace(PLACE.encode(), escape.encode())) for one in OVER_HTTP}
    assert statuses(found) == dict.fromkeys(map(str, OVER_HTTP), 400)


def test_of_a_key_that_stands_twice_the_last_counts(gateway_stack: GatewayStack) -> None:
    """For the guards and for the engine alike: nobody reads the other one."""
    for dialect in OVER_HTTP:
        asked = dialect.body({"text_input": "Hi", "max_tokens": 4})
        if dialect is INFER:
            twice = asked[:-1] + b"," + dialect.body({"text_input": "Other", "max_tokens": 5})[1:]
        else:
            twice = asked[:-1] + b', "max_tokens": 5}'
        expected = dialect.ask(
            gateway_stack, {"text_input": "Other" if dialect is INFER else "Hi", "max_tokens": 5}
        )
        assert dialect.post(gateway_stack, twice) == expected


def test_an_input_that_is_there_twice_is_refused(gateway_stack: GatewayStack) -> None:
    asked = json.loads(INFER.body({"text_input": "Hi"}))
    asked["inputs"] *= 2
    assert "is there twice" in INFER.post(gateway_stack, json.dumps(asked).encode()).says
    for dialect in DIALECTS:
        if not dialect.path:
            message = grpc_request(dialect.model, {"text_input": "Hi"})
            message.MergeFrom(message.__class__.FromString(message.SerializeToString()))
            assert "is there twice" in dialect.send(gateway_stack, message).says


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"parameters": {"triton_x": 1}}, "'triton_x' is not served"),
        ({"parameters": {"priority": 99}}, "'priority' is not served"),
        ({"parameters": {"timeout": "soon"}}, "timeout: expected microseconds"),
        ({"parameters": {"timeout": 0}}, "timeout: expected microseconds"),
        ({"parameters": {"timeout": 2**63}}, "timeout: expected microseconds"),
        ({"parameters": [1]}, "parameters"),
        ({"outputs": [{"name": "nonsense"}]}, "there is no output 'nonsense'"),
        ({"outputs": [{"name": "text_output"}] * 2}, "asked for twice"),
        ({"outputs": [{"name": "text_output", "parameters": {"classification": 3}}]}, "'classification'"),
        ({"outputs": [{"name": "guard", "parameters": {"shared_memory_region": "x"}}]}, "'shared_memory_region'"),
        ({"inputs": []}, "neither was sent"),
        ({"id": 5}, "id"),
        ({"colour": 5}, "colour"),
    ],
)
def test_what_infer_may_say_besides(gateway_stack: GatewayStack, more: dict[str, Any], says: str) -> None:
    asked = json.loads(INFER.body({"text_input": "Hi"})) | more
    outcome = INFER.post(gateway_stack, json.dumps(asked).encode())
    assert (outcome.status, says in outcome.says) == (400, True), outcome.says


SLUR = "you filthy worthless vermin"
MISTAKES: list[dict[str, Any]] = [
    {"text_input": SLUR, "max_tokens": 0},
    {"text_input": SLUR, "min_tokens": 9},
    {"text_input": f"{SLUR}\0"},
    {"text_input": f"{SLUR} " * 20_000},
    {"text_input": [SLUR, SLUR]},
    {"text_input": None, "messages": SLUR},
    {"text_input": None, "messages": json.dumps([{"role": SLUR, "content": SLUR}])},
    {"text_input": None, "messages": json.dumps([{"role": "user", "content": SLUR, "name": [SLUR]}])},
    {"text_input": SLUR, "stop_words": [SLUR, ""]},
    {"text_input": SLUR, "stop_words": [f"{SLUR}\0"]},
    {"text_input": SLUR} | schema({"type": "string", "pattern": SLUR}),
    {"text_input": SLUR} | schema({"type": SLUR, "description": SLUR}),
]


@pytest.mark.parametrize("place", range(len(MISTAKES)))
def test_an_error_repeats_no_text_that_was_sent(gateway_stack: GatewayStack, place: int) -> None:
    asked = Hazard("", MISTAKES[place]).request
    for dialect, outcome in ask_all(gateway_stack, asked, DIALECTS).items():
        assert outcome.status in {400, 413}, dialect
        assert "vermin" not in outcome.says, dialect


@pytest.mark.parametrize("name", ["messages", "prompt", "stop", "response_format", "user", "metadata", "n"])
def test_an_error_of_openai_s_repeats_none_of_any_field(gateway_stack: GatewayStack, name: str) -> None:
    for value in (SLUR, [SLUR, SLUR], {"type": SLUR}, [{"role": SLUR, "content": SLUR}]):
        for dialect in OPENAI:
            body = json.loads(dialect.body({"text_input": SLUR, "max_tokens": 0})) | {name: value}
            outcome = dialect.post(gateway_stack, json.dumps(body).encode())
            assert (outcome.status, "vermin" in outcome.says) == (400, False), (dialect, value)


@pytest.mark.parametrize("length", ["-1", "abc", "", "1e3", "0" * 5000, "9" * 5000, "99999"])
def test_a_length_of_the_head_that_lies(gateway_stack: GatewayStack, length: str) -> None:
    body = INFER.body({"text_input": "Hi", "max_tokens": 4})
    outcome = INFER.post(gateway_stack, body, inference_header_content_length=length)
    assert (outcome.status, "inference-header-content-length" in outcome.says) == (400, True)


@pytest.mark.parametrize(
    "wishes",
    [
        {"n": 0}, {"n": 17}, {"n": 1000}, {"n": -1}, {"n": "2"}, {"n": 2**40},
        {"logit_bias": {str(number): 1 for number in range(50_000)}},
        {"stream_options": {"include_usage": "yes"}}, {"stream": "true"}, {"stream": 1},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"metadata": {"a": {"b": 1}}}, {"user": 5}, {"model": None}, {"model": 5}, {"model": ["assistant"]},
    ],
    ids=lambda wishes: json.dumps(wishes)[:40],
)  # fmt: skip
def test_what_openai_s_clients_alone_can_ask(gateway_stack: GatewayStack, wishes: dict[str, Any]) -> None:
    asked = {one: json.loads(one.body({"text_input": "Hi", "max_tokens": 4})) | wishes for one in OPENAI}
    found = {one: one.post(gateway_stack, json.dumps(asked[one]).encode()) for one in OPENAI}
    assert statuses(found) == dict.fromkeys(map(str, OPENAI), 400)


def test_a_million_biases_are_too_big(gateway_stack: GatewayStack) -> None:
    bias = b",".join(b'"%d":1' % number for number in range(1_000_000))
    for dialect in OPENAI:
        body = dialect.body({"text_input": "Hi"})[:-1] + b', "logit_bias": {' + bias + b"}}"
        assert dialect.post(gateway_stack, body).status == 413


def test_a_whole_number_is_the_same_question_as_one_with_a_point(gateway_stack: GatewayStack) -> None:
    """Also for the cache: a number of 65 bits once had no key."""
    for dialect in (INFER, GENERATE):
        texts = {dialect.ask(gateway_stack, Hazard("", {"temperature": value}).request).text for value in (0, 0.0)}
        assert texts == {GRPC.ask(gateway_stack, Hazard("", {"temperature": 0.0}).request).text}
