"""A supervisor within the test, so that what surrounds it can be spoiled."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from headrace import paths
from headrace.build.triton import TritonDistribution
from headrace.config import Config
from headrace.errors import StartupError
from headrace.serving.log_file import LogFile
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import Status
from headrace.serving.supervisor import Supervisor
from perf.stack import on_free_ports


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "8000")
    folder.create()
    return folder


def config() -> Config:
    alone = {"enabled": False}
    return on_free_ports(Config(server={"unready_seconds": 0}, gateway=alone, engine={"name": "mock"}))


@asynccontextmanager
async def running(folder: RunFolder, on_ready: Callable[[], None]) -> AsyncIterator[asyncio.Task[None]]:
    """Told to stop at the end, if it still runs then."""
    with closing(LogFile(folder.log_file)) as log_file:
        supervisor = Supervisor(
            config(), folder, TritonDistribution.locate(), log_file, lambda _answer, _seconds: on_ready()
        )
        task = asyncio.create_task(supervisor.run())
        try:
            yield task
        finally:
            supervisor.request_stop()
            async with asyncio.timeout(60):
                await asyncio.gather(task, return_exceptions=True)


async def test_a_status_that_cannot_be_written_stops_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_status: Status) -> None:
        raise OSError(28, "No space left on device", str(folder.status_file))

    monkeypatch.setattr(folder, "write_status", full)
    ready = asyncio.Event()
    async with running(folder, ready.set) as task:
        async with asyncio.timeout(60):
            await ready.wait()
        assert not task.done()
    assert task.exception() is None


async def test_a_step_that_cannot_be_loaded_is_named_with_its_reason(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    for part in ("model_repository", "ensembles", "python_backends"):
        shutil.copytree(paths.PROJECT / part, project / part)
    step = project / "python_backends" / "postprocess" / "model.py"
    step.write_text("import nothing_there\n", encoding="ascii")
    monkeypatch.setenv("HEADRACE_HOME", str(paths.home()))
    monkeypatch.setattr(paths, "PROJECT", project)
    async with running(folder, lambda: None) as task:
        with pytest.raises(StartupError) as caught:
            async with asyncio.timeout(60):
                await task
    message = str(caught.value)
    assert message.startswith("failed to load 'postprocess")
    assert message.endswith("No module named 'nothing_there'")
    assert "\n" not in message
