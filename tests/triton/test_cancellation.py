"""Who stops a request gets the engine's place back, and disturbs nobody else."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.conftest import MOCK_RUNNING
from tests.stack import Stack
from tests.triton.answers import Answer, Piece, Refused
from tests.triton.doors import COMPLETION, STREAM, UNARY, Door, Stub, stop, stream
from tests.triton.http_port import RawPost
from tests.triton.mock_answer import engine_inputs, mock_answer
from tests.triton.tensors import Inputs, grpc_request, infer_body

SOON = 2.0
"""Seconds. How fast it really is, the benchmark says."""
LONG: Inputs = {"text_input": "Count to a thousand.", "max_tokens": 2000, "min_tokens": 2000}


@pytest.fixture
def request_id() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture(params=["stack", "mock_stack"])
def any_stack(request: pytest.FixtureRequest) -> Stack:
    """Each engine in turn, idle."""
    stack: Stack = request.getfixturevalue(request.param)
    stack.until(lambda stats: stats.live == 0, 30, "the engine is idle")
    return stack


def begun(stack: Stack, door: Door, inputs: Inputs, request_id: str, pool: ThreadPoolExecutor) -> Future[Answer]:
    """A request that the engine works on."""
    made = stack.stats().engine.generated_tokens
    asked = pool.submit(door.infer, stack, inputs, request_id)
    # More than the one token of the supervisor's probe.
    stack.until(lambda stats: stats.engine.generated_tokens > made + 10, 10, "it has begun")
    return asked


def stopped(stack: Stack, request_id: str) -> Piece:
    """The last piece of a long stream that is stopped as soon as it has begun."""
    with closing(stream(stack, "assistant_stream", LONG, request_id)) as pieces:
        next(pieces)
        stop(stack, request_id)
        *_, last = pieces
    return last


class TestStop:
    def test_of_a_stream_ends_it_and_frees_its_place(self, any_stack: Stack, request_id: str) -> None:
        before = any_stack.stats().cancelled
        with closing(stream(any_stack, "assistant_stream", LONG, request_id)) as pieces:
            next(pieces)
            stop(any_stack, request_id)
            any_stack.until(lambda stats: stats.cancelled > before and stats.live == 0, SOON, "the place is free")
            *_, last = pieces
        assert last.finish_reason == "cancelled"
        assert last.completion_tokens < 2000

    @pytest.mark.parametrize("door", [UNARY, COMPLETION], ids=str)
    def test_of_a_unary_request_makes_it_an_error(self, any_stack: Stack, door: Door, request_id: str) -> None:
        with ThreadPoolExecutor(1) as pool:
            asked = begun(any_stack, door, LONG, request_id, pool)
            stop(any_stack, request_id)
            with pytest.raises(Refused, match="stopped before its answer was complete") as caught:
                asked.result(timeout=SOON)
        assert caught.value.status == "CANCELLED"
        any_stack.until(lambda stats: stats.live == 0, SOON, "the place is free")

    def test_leaves_nothing_in_the_response_cache(self, mock_stack: Stack, request_id: str) -> None:
        inputs = {"text_input": f"uncached {request_id}", "max_tokens": 500}
        with ThreadPoolExecutor(1) as pool:
            asked = begun(mock_stack, UNARY, inputs, request_id, pool)
            stop(mock_stack, request_id)
            with pytest.raises(Refused):
                asked.result(timeout=SOON)
        answer = UNARY.infer(mock_stack, inputs)
        assert answer.text == mock_answer(f"uncached {request_id}", 500)
        assert answer.last.finish_reason == "length"

    def test_lets_the_id_be_used_again_at_once(self, any_stack: Stack, request_id: str) -> None:
        for _ in range(3):
            assert stopped(any_stack, request_id).finish_reason == "cancelled"
        short = UNARY.infer(any_stack, {"text_input": "Hi", "max_tokens": 3, "min_tokens": 3}, request_id)
        assert short.last.completion_tokens == 3

    def test_reaches_every_live_request_with_the_id_and_no_other(self, mock_stack: Stack, request_id: str) -> None:
        with (
            closing(stream(mock_stack, "assistant_stream", LONG, request_id)) as one,
            closing(stream(mock_stack, "assistant_stream", LONG, request_id)) as two,
            closing(stream(mock_stack, "assistant_stream", LONG, f"{request_id}-other")) as other,
        ):
            for pieces in (one, two, other):
                next(pieces)
            stop(mock_stack, request_id)
            ends = [list(pieces)[-1] for pieces in (one, two, other)]
        assert [end.finish_reason for end in ends] == ["cancelled", "cancelled", "length"]
        assert ends[2].completion_tokens == 2000

    def test_keeps_one_log_prob_a_token(self, any_stack: Stack, request_id: str) -> None:
        inputs = {**LONG, "return_log_probs": True}
        with closing(stream(any_stack, "assistant_stream", inputs, request_id)) as pieces:
            answer = [next(pieces)]
            stop(any_stack, request_id)
            answer += pieces
        assert answer[-1].finish_reason == "cancelled"
        assert sum(len(piece.log_probs) for piece in answer) == answer[-1].completion_tokens > 0

    def test_of_nothing_is_no_error(self, any_stack: Stack, request_id: str) -> None:
        stop(any_stack, request_id)

    def test_needs_an_id(self, mock_stack: Stack) -> None:
        with pytest.raises(Refused, match="stop: the request has no id") as caught:
            stop(mock_stack, "")
        assert caught.value.status == "INVALID_ARGUMENT"

    def test_works_by_the_streaming_model_too(self, mock_stack: Stack, request_id: str) -> None:
        with closing(stream(mock_stack, "assistant_stream", LONG, request_id)) as pieces:
            next(pieces)
            with Stub(mock_stack) as stub:
                call = stub.ModelStreamInfer(
                    iter([grpc_request("tensorrt_llm_stream", {"stop": True}, request_id)]), timeout=10
                )
                assert [response.error_message for response in call] == [""]
            *_, last = pieces
        assert last.finish_reason == "cancelled"


def test_two_live_requests_with_one_id_do_not_disturb_each_other(mock_stack: Stack, request_id: str) -> None:
    prompts = [f"twin {number} {request_id}" for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(STREAM.infer, mock_stack, {"text_input": prompts[0], "max_tokens": 300}, request_id)
        second = pool.submit(STREAM.infer, mock_stack, {"text_input": prompts[1], "max_tokens": 100}, request_id)
        assert second.result().text == mock_answer(prompts[1], 100)
        assert first.result().text == mock_answer(prompts[0], 300)


COUNT: Inputs = {**engine_inputs("Count to a thousand.", 2000), "min_tokens": 2000}
"""As LONG, for the engine's own models."""


class TestTheEnginesOwnModels:
    """Called without an ensemble, they see that their client has gone."""

    def test_obey_a_grpc_cancel_of_a_stream(self, any_stack: Stack, request_id: str) -> None:
        cancelled = any_stack.stats().cancelled
        with Stub(any_stack) as stub:
            call = stub.ModelStreamInfer(
                iter([grpc_request("tensorrt_llm_stream", COUNT, request_id)]), timeout=60
            )
            assert next(call).error_message == ""
            call.cancel()
            any_stack.until(
                lambda stats: stats.cancelled > cancelled and stats.live == 0, SOON, "the place is free"
            )
        short = UNARY.infer(any_stack, {"text_input": "Hi", "max_tokens": 2, "min_tokens": 2})
        assert short.last.completion_tokens == 2

    def test_obey_a_grpc_cancel_of_a_unary_call(self, any_stack: Stack, request_id: str) -> None:
        before = any_stack.stats()
        with Stub(any_stack) as stub:
            call = stub.ModelInfer.future(grpc_request("tensorrt_llm", COUNT, request_id), timeout=60)
            made = before.engine.generated_tokens
            any_stack.until(lambda stats: stats.engine.generated_tokens > made + 10, 10, "it has begun")
            call.cancel()
            any_stack.until(
                lambda stats: stats.cancelled > before.cancelled and stats.live == 0, SOON, "the place is free"
            )

    def test_obey_a_cancel_while_the_request_waits(self, mock_stack: Stack, request_id: str) -> None:
        mock_stack.until(lambda stats: stats.live == 0, 30, "the engine is idle")
        cancelled = mock_stack.stats().cancelled
        with Stub(mock_stack) as stub:
            running = [
                stub.ModelInfer.future(grpc_request("tensorrt_llm", COUNT, request_id), timeout=60)
                for _ in range(MOCK_RUNNING)
            ]
            mock_stack.until(lambda stats: stats.engine.running == MOCK_RUNNING, 10, "the batch is full")
            waiting = stub.ModelInfer.future(grpc_request("tensorrt_llm", COUNT, f"{request_id}-2"), timeout=60)
            mock_stack.until(lambda stats: stats.engine.waiting == 1, 10, "one waits")
            waiting.cancel()
            mock_stack.until(lambda stats: stats.cancelled == cancelled + 1, SOON, "the one that waits is gone")
            stats = mock_stack.stats()
            assert (stats.engine.running, stats.engine.waiting) == (MOCK_RUNNING, 0)
            assert not any(call.done() for call in running)
            stop(mock_stack, request_id)
            for call in running:
                assert call.exception().code().name == "CANCELLED"
        mock_stack.until(lambda stats: stats.live == 0, SOON, "all places are free")

    def test_see_a_hang_up_on_generate_stream(self, any_stack: Stack) -> None:
        cancelled = any_stack.stats().cancelled
        body = json.dumps(COUNT).encode()
        path = "/v2/models/tensorrt_llm_stream/generate_stream"
        with RawPost(any_stack, path, f"Content-Length: {len(body)}") as post:
            post.send(body)
            assert b"200 OK" in post.first_bytes()
        any_stack.until(lambda stats: stats.cancelled > cancelled and stats.live == 0, SOON, "the place is free")

    def test_do_not_see_one_on_infer(self, mock_stack: Stack) -> None:
        """Triton looks at the socket only when it writes: the answer is made to its end, and no further."""
        before = mock_stack.stats()
        body = infer_body(engine_inputs("Bye", 300))
        with RawPost(mock_stack, "/v2/models/tensorrt_llm/infer", f"Content-Length: {len(body)}") as post:
            post.send(body)
            made = before.engine.generated_tokens
            mock_stack.until(lambda stats: stats.engine.generated_tokens > made + 10, 10, "it has begun")
        mock_stack.until(lambda stats: stats.live == 0, 4, "the place is free")
        after = mock_stack.stats()
        assert after.cancelled == before.cancelled
        assert after.engine.generated_tokens >= before.engine.generated_tokens + 300


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_plain_client_that_hangs_up_costs_no_more_than_its_max_tokens(mock_stack: Stack, protocol: str) -> None:
    """Triton carries no cancellation through an ensemble: the engine runs on, to the end of this answer only."""
    inputs = {"text_input": "Bye", "max_tokens": 500}
    body = json.dumps(inputs).encode()
    for _ in range(4):
        if protocol == "grpc":
            with closing(stream(mock_stack, "assistant_stream", inputs)) as pieces:
                next(pieces)
        else:
            path = "/v2/models/assistant_stream/generate_stream"
            with RawPost(mock_stack, path, f"Content-Length: {len(body)}") as post:
                post.send(body)
                assert b"200 OK" in post.first_bytes()
    # 500 tokens take 1 s.
    mock_stack.until(lambda stats: stats.live == 0, 4, "all places are free")
    assert UNARY.infer(mock_stack, {"text_input": "Hi", "max_tokens": 5}).text == mock_answer("Hi", 5)


def test_hanging_up_at_any_moment_leaves_the_server_whole(mock_stack: Stack) -> None:
    for count in range(40):
        with closing(stream(mock_stack, "assistant_stream", {"text_input": "Bye", "max_tokens": 20})) as pieces:
            for _ in range(count % 5):
                next(pieces, None)
    mock_stack.until(lambda stats: stats.live == 0, 4, "all places are free")
    assert UNARY.infer(mock_stack, {"text_input": "Hi", "max_tokens": 5}).text == mock_answer("Hi", 5)
