from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.errors import EngineUnavailable
from headrace.serving import gate
from headrace.serving.gate import Gate
from headrace.serving.run_folder import RunFolder
from headrace.worker import control
from tests.serving.fake_worker import fake_worker


def models(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_every_closing_has_a_name_of_its_own(tmp_path: Path) -> None:
    shut = Gate(tmp_path / "gate")
    shut.reset()
    assert models(tmp_path / "gate") == []
    for number in (1, 2, 3):
        shut.close()
        name = f"engine_{number}"
        assert models(tmp_path / "gate") == [name, f"{name}/1", f"{name}/config.pbtxt"]
    shut.reset()
    assert models(tmp_path / "gate") == []
    shut.close()
    assert (tmp_path / "gate" / "engine_4").is_dir()


def test_opens_when_the_worker_answers(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gate.wait_for_engine, path, tmp_path / "stop")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        with fake_worker(path):
            waiting.result(timeout=10)


def test_stays_shut_while_the_worker_drains_and_gives_up_at_the_stop_file(tmp_path: Path) -> None:
    with fake_worker(tmp_path / "socket") as worker, ThreadPoolExecutor() as pool:
        worker.draining = True
        waiting = pool.submit(gate.wait_for_engine, tmp_path / "socket", tmp_path / "stop")
        assert worker.asked.wait(10)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        (tmp_path / "stop").touch()
        with pytest.raises(EngineUnavailable, match="shutting down"):
            waiting.result(timeout=10)


def test_a_gate_that_is_shut_for_good_ignores_a_worker_that_answers(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.gate.mkdir()
    Gate(folder.gate).shut()
    assert models(folder.gate)
    with fake_worker(folder.socket), ThreadPoolExecutor() as pool:
        waiting = pool.submit(gate.wait_for_engine, folder.socket, folder.stop_file)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        folder.stop_file.touch()
        with pytest.raises(EngineUnavailable, match="shutting down"):
            waiting.result(timeout=10)
    folder.clear()
    with fake_worker(folder.socket):
        gate.wait_for_engine(folder.socket, folder.stop_file)


def test_the_stop_file_lies_in_the_run_folder(tmp_path: Path) -> None:
    assert gate.stop_file_of(tmp_path / "gate" / "engine_7") == tmp_path / "stop"


def test_control_reads_stats_and_drains(tmp_path: Path) -> None:
    with fake_worker(tmp_path / "socket"):
        assert not control.stats(tmp_path / "socket", 5).draining
        assert control.drain(tmp_path / "socket", 5).draining
        assert control.stats(tmp_path / "socket", 5).live == 2


@pytest.mark.parametrize("listening", [True, False])
def test_a_worker_that_does_not_answer_is_an_error_in_time(tmp_path: Path, listening: bool) -> None:
    path = tmp_path / "socket"
    before = threading.active_count()
    if not listening:
        with pytest.raises(EngineUnavailable, match="does not answer"):
            control.stats(path, 0.1)
        return
    with fake_worker(path) as worker:
        worker.silent = True
        with pytest.raises(EngineUnavailable, match="timed out"):
            control.stats(path, 0.1)
    assert threading.active_count() <= before + 1
