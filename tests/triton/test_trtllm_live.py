"""TensorRT-LLM's adapter in the real worker behind the real Triton, on the stand-in for its package."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace import paths
from headrace.text.tokenizer import Tokenizer
from tests.engine.engines import FAKE_SITE
from tests.serving.drill_stack import DrillStack
from tests.triton.answers import Refused
from tests.triton.doors import DOORS, STREAM, UNARY, Door, stop, stream
from tests.triton.http_port import http_get
from tests.triton.mock_answer import mock_answer

PROFILE = {
    "HEADRACE_CONFIG": str(paths.PROJECT / "profiles" / "h100.yaml"),
    "HEADRACE_ENGINE__NAME": "trtllm",
    "HEADRACE_ENGINE__MODEL": str(paths.default_model()),
    "HEADRACE_SERVER__RESPONSE_CACHE_MB": "16",
    "HEADRACE_SERVER__SETTLED_SECONDS": "0",
}
REFUSED_WORD, DEADLY_WORD = " giraffe", " thunder"
PROMPT = "Über den Wolken 🐈‍⬛ and below"


class FakeStack(DrillStack):
    """A stack whose engine is the stand-in; it writes down what reaches it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._log = folder / "tensorrt_llm.jsonl"
        tokenizer = Tokenizer(paths.default_model())
        (refused,), (deadly,) = (tokenizer.encode(word) for word in (REFUSED_WORD, DEADLY_WORD))
        super().__init__(
            **PROFILE,
            PYTHONPATH=str(FAKE_SITE),
            FAKE_TRTLLM_LOG=str(self._log),
            FAKE_TRTLLM_STEP_MS="2",
            FAKE_TRTLLM_REFUSED_TOKEN=str(refused),
            FAKE_TRTLLM_DEADLY_TOKEN=str(deadly),
            **settings,
        )

    def logged(self, kind: str) -> list[dict[str, Any]]:
        entries = [json.loads(line) for line in self._log.read_text("utf-8").splitlines()]
        return [entry[kind] for entry in entries if kind in entry]

    async def until_restarted(self, part: str, restarts: int) -> None:
        async with asyncio.timeout(60):
            while self.status().parts[part].restarts == restarts:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await self.until_state("ready")

    def request_of(self, max_tokens: int) -> dict[str, Any]:
        """What upstream got for the one request with this many tokens."""
        (found,) = (r for r in self.logged("request") if r["sampling_params"]["max_tokens"] == max_tokens)
        return found


@pytest.fixture(scope="module")
def fake_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeStack]:
    stack = FakeStack(tmp_path_factory.mktemp("fake"))
    stack.up()
    yield stack
    stack.down()


def exactly(tokens: int, **inputs: Any) -> dict[str, Any]:
    return {"text_input": PROMPT, "max_tokens": tokens, "min_tokens": tokens} | inputs


def test_the_profile_is_the_one_that_runs(fake_stack: FakeStack) -> None:
    status, body = http_get(fake_stack, "/v2/models/preprocess/config")
    assert (status, json.loads(body)["instance_group"][0]["count"]) == (200, 4)
    (arguments,) = fake_stack.logged("LLM")
    assert arguments["max_batch_size"] == 256
    assert arguments["max_seq_len"] == 8192
    assert arguments["kv_cache_config"]["dtype"] == "fp8"
    assert arguments["cuda_graph_config"] == {"max_batch_size": 256, "enable_padding": True}


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_every_door_gives_the_same_text(fake_stack: FakeStack, door: Door) -> None:
    answer = door.infer(fake_stack, exactly(90))
    assert answer.text == mock_answer(PROMPT, 90)
    assert (answer.last.finish_reason, answer.last.completion_tokens) == ("length", 90)
    if door.streams:
        assert len(answer.pieces) > 3


def test_64_streams_at_once_do_not_mix(fake_stack: FakeStack) -> None:
    prompts = [f"stream {n} of many" for n in range(64)]
    with ThreadPoolExecutor(64) as pool:
        answers = pool.map(lambda text: STREAM.infer(fake_stack, exactly(60, text_input=text)).text, prompts)
        assert list(answers) == [mock_answer(text, 60) for text in prompts]


def test_the_models_end_token_ends_an_answer(fake_stack: FakeStack) -> None:
    answer = UNARY.infer(fake_stack, {"text_input": PROMPT, "max_tokens": 500})
    assert answer.last.finish_reason == "stop"
    assert mock_answer(PROMPT, 500).startswith(answer.text)


def test_a_stop_string_ends_it_and_stays_out(fake_stack: FakeStack) -> None:
    whole = mock_answer(PROMPT, 80)
    before, found, _ = whole.partition(" below")
    assert found
    for door in (UNARY, STREAM):
        answer = door.infer(fake_stack, exactly(81, stop_words=[" below"]))
        assert (answer.text, answer.last.finish_reason) == (before, "stop")
    assert fake_stack.logged("request")[-1]["sampling_params"]["stop"] == [" below"]


def test_log_probs(fake_stack: FakeStack) -> None:
    for door in (UNARY, STREAM):
        assert door.infer(fake_stack, exactly(21, return_log_probs=True)).log_probs == (-0.25,) * 21


def test_seeds(fake_stack: FakeStack) -> None:
    def drawn(tokens: int, **seed: int) -> str:
        return STREAM.infer(fake_stack, exactly(tokens, temperature=1.0, **seed)).text

    assert drawn(31, random_seed=7) == drawn(31, random_seed=7)
    others = {drawn(31, random_seed=seed) for seed in range(8, 12)}
    assert others != {drawn(31, random_seed=7)}
    assert len({drawn(32) for _ in range(4)}) > 1


def test_what_a_request_asks_for_reaches_upstream(fake_stack: FakeStack) -> None:
    schema = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
    sampling = {"temperature": 0.5, "top_k": 9, "top_p": 0.75, "random_seed": 5, "repetition_penalty": 1.5}
    UNARY.infer(fake_stack, exactly(41, cache_scope="tenant-a", response_format=schema, **sampling))
    got = fake_stack.request_of(41)
    assert got["cache_salt"] == "tenant-a"
    assert json.loads(got["sampling_params"]["guided_decoding"]["json"]) == json.loads(schema)
    expected = {"temperature": 0.5, "top_k": 9, "top_p": 0.75, "seed": 5, "repetition_penalty": 1.5}
    assert {name: got["sampling_params"][name] for name in expected} == expected
    UNARY.infer(fake_stack, exactly(42))
    assert fake_stack.request_of(42)["cache_salt"] is None


def test_a_stop_request_frees_the_place(fake_stack: FakeStack) -> None:
    with closing(stream(fake_stack, "assistant_stream", exactly(2000), "to be stopped")) as pieces:
        next(pieces)
        stop(fake_stack, "to be stopped")
        fake_stack.until(lambda stats: stats.live == 0 and stats.engine.running == 0, 2, "the place is free")
        *_, last = pieces
    assert last.finish_reason == "cancelled"
    assert last.completion_tokens < 1900


def test_a_request_that_upstream_refuses_disturbs_no_other(fake_stack: FakeStack) -> None:
    worker = fake_stack.pid("engine_worker")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(STREAM.infer, fake_stack, exactly(500))
        fake_stack.until(lambda stats: stats.live == 1, 10, "the other runs")
        with pytest.raises(Refused, match="TensorRT-LLM refuses it: the request cannot be scheduled") as caught:
            UNARY.infer(fake_stack, exactly(5, text_input=f"the{REFUSED_WORD}"))
        assert caught.value.status == "INVALID_ARGUMENT"
        assert other.result().text == mock_answer(PROMPT, 500)
    assert fake_stack.pid("engine_worker") == worker


def refusal(door: Door, stack: FakeStack, inputs: dict[str, Any]) -> Refused:
    """How a request that must fail does."""
    with pytest.raises(Refused) as caught:
        door.infer(stack, inputs)
    return caught.value


@pytest.mark.parametrize("cause", ["killed", "broken"])
def test_a_worker_that_ends_comes_back(fake_stack: FakeStack, cause: str) -> None:
    before = fake_stack.status().parts["engine_worker"]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(refusal, door, fake_stack, exactly(2000)) for door in (UNARY, STREAM) * 2]
        fake_stack.until(lambda stats: stats.live == 4, 10, "all run")
        if cause == "killed":
            os.kill(fake_stack.pid("engine_worker"), signal.SIGKILL)
        else:
            refusal(UNARY, fake_stack, {"text_input": f"the{DEADLY_WORD}", "max_tokens": 2})
        refusals = [future.result() for future in asked]
    if cause == "killed":
        assert all("the engine worker ended during this request" in refused.message for refused in refusals)
        assert {refused.status for refused in refusals[::2]} == {"UNAVAILABLE"}
        outage = refusal(UNARY, fake_stack, exactly(1, cache_scope="outage"))
        assert outage.status == "UNAVAILABLE"
        assert "it restarts, try again in a moment" in outage.message
    else:
        assert all("the TensorRT-LLM engine broke: CUDA error" in refused.message for refused in refusals)
    asyncio.run(fake_stack.until_restarted("engine_worker", before.restarts))
    assert UNARY.infer(fake_stack, exactly(51)).text == mock_answer(PROMPT, 51)
    assert fake_stack.status().parts["engine_worker"].restarts == before.restarts + 1


def test_a_sampler_without_seeds_samples_all_the_same(tmp_path: Path) -> None:
    """The platform draws a seed for who sent none; only a client's own is refused."""
    stack = FakeStack(tmp_path, HEADRACE_ENGINE__TRTLLM__SAMPLER="TorchSampler")
    stack.up()
    try:
        for door in DOORS:
            assert door.infer(stack, exactly(9, temperature=1.0)).last.completion_tokens == 9
        refused = refusal(UNARY, stack, exactly(9, temperature=1.0, random_seed=3))
    finally:
        stack.down()
    assert refused.status == "INVALID_ARGUMENT"
    assert "random_seed: this server's sampler (TorchSampler) cannot do it" in refused.message
    assert not any("seed" in request["sampling_params"] for request in stack.logged("request"))


def test_without_the_package_nothing_starts_and_one_line_says_what_to_do() -> None:
    stack = DrillStack(**PROFILE)
    done = stack.headrace("up")
    told = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(told) == 1, done.stderr
    assert "tensorrt_llm is not installed" in told[0]
    assert "tritonserver 26.04 to 26.07 -trtllm-python-py3" in told[0]
    assert stack.is_clean()
    shutil.rmtree(stack.folder.root)
