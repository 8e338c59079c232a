from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engine.interface import EngineStats
from headrace.serving.liveness import LIMITS, Culprit, Liveness
from headrace.serving.probe import Finding
from headrace.worker.protocol import WorkerStats

MAX_RUNNING = 16


def worker(live: int, generated: int) -> WorkerStats:
    stats = EngineStats(generated_tokens=generated)
    return WorkerStats(engine=stats, live=live, draining=False, refused=0, cancelled=0)


def failed(live: int, generated: int) -> Finding:
    return Finding("no answer", worker(live, generated))


ANSWERED = Finding(None, worker(0, 1))


def verdicts(*findings: Finding) -> list[Culprit | None]:
    liveness = Liveness(MAX_RUNNING)
    assert liveness.judge(ANSWERED) is None
    return [liveness.judge(finding) for finding in findings]


def test_a_worker_that_does_not_say_how_it_is_is_restarted() -> None:
    assert verdicts(*[Finding("no answer", None)] * 3) == [None, None, "worker"]


def test_probes_that_never_come_to_the_worker_restart_triton() -> None:
    assert verdicts(*[failed(0, 1)] * 3) == [None, None, "triton"]


@pytest.mark.parametrize("live", [1, MAX_RUNNING, 5 * MAX_RUNNING])
def test_a_hung_engine_restarts_the_worker_however_full_it_is(live: int) -> None:
    assert verdicts(*[failed(live, 1)] * 6) == [None] * 5 + ["worker"]


def test_a_long_prompt_is_not_a_hung_engine() -> None:
    prompt = [failed(3, 1)] * 5
    assert verdicts(*prompt, failed(3, 2), *prompt, failed(3, 3), *prompt) == [None] * 17


def test_a_full_batch_that_makes_tokens_is_only_busy() -> None:
    assert not any(verdicts(*[failed(MAX_RUNNING, number) for number in range(100)]))


def test_late_probes_are_borne_twice_as_long_as_lost_ones() -> None:
    """Tokens flow and there is room, yet this door does not answer: it is dead, or the machine very slow."""
    late = [failed(3, 10 + number) for number in range(6)]
    assert verdicts(*late) == [None] * 5 + ["triton"]
    assert not any(verdicts(*late[:5], ANSWERED, *late[:5]))


def test_an_answer_or_a_pause_starts_the_count_anew() -> None:
    assert verdicts(failed(0, 1), failed(0, 1), ANSWERED, failed(0, 1), failed(0, 1)) == [None] * 5
    liveness = Liveness(MAX_RUNNING)
    for _ in range(3):
        liveness.judge(failed(0, 1))
    liveness.forget()
    assert liveness.judge(failed(0, 1)) is None


def test_the_doors_take_turns_and_one_that_failed_is_asked_again() -> None:
    liveness = Liveness(MAX_RUNNING)
    doors = []
    for finding in (ANSWERED, failed(0, 1), failed(0, 1), ANSWERED, ANSWERED):
        doors.append(liveness.door)
        liveness.judge(finding)
    assert doors == ["unary", "stream", "stream", "stream", "unary"]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), max_size=60))
def test_the_worker_is_never_restarted_while_it_makes_tokens_now_and_then(course: list[tuple[int, int]]) -> None:
    """Pairs of requests held and probes without a token before the next one comes."""
    liveness = Liveness(MAX_RUNNING)
    for generated, (live, quiet) in enumerate(course, start=1):
        for _ in range(1 + min(quiet, LIMITS["stalled"] - 1)):
            assert liveness.judge(failed(live, generated)) != "worker"
