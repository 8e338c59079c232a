"""Makes Triton say "not ready" while the engine worker is away.

Triton 2.51 answers `/v2/health/ready` with 400 while a model loads. It polls the `gate/` repository once a
second, and the model that appears there (backend `engine_gate`) loads only when the worker answers. So
closing the gate is one rename, and it opens by itself, unless it was shut for good. Between a worker's death and
"not ready" lies at most one poll; meanwhile requests already fail with UNAVAILABLE. Measured:
docs/adr/0006-readiness.md.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from headrace.errors import EngineUnavailable
from headrace.worker import client, control

BACKEND = "engine_gate"
SHUT = "shut"
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 1.0
# The steps look for a new worker every `worker.client.RETRY_SECONDS`; on a busy machine they wake up late.
_RECONNECT_SECONDS = 6 * client.RETRY_SECONDS
_CONFIG = f"""\
backend: "{BACKEND}"
max_batch_size: 0
input [ {{ name: "unused", data_type: TYPE_BOOL, dims: [ 1 ] }} ]
output [ {{ name: "none", data_type: TYPE_BOOL, dims: [ 1 ] }} ]
instance_group [ {{ kind: KIND_CPU, count: 1 }} ]
"""


class Gate:
    """The supervisor's end: `folder` is a model repository that Triton polls, in a run folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shut_file = folder.with_name(SHUT)
        self._closings = 0

    def reset(self) -> None:
        """Empty the repository. Only while no server polls it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()

    def close(self) -> None:
        """Have Triton load a model that waits for the engine. Its name is new each time: Triton loads a model
        whose name it knows only when its files change."""
        self._folder.mkdir(exist_ok=True)
        self._closings += 1
        model = self._folder / f"engine_{self._closings}"
        earlier = sorted(self._folder.iterdir())
        if earlier:
            earlier[0].rename(model)
            return
        draft = self._folder.with_name(".gate.new")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "1").mkdir(parents=True)
        (draft / "config.pbtxt").write_text(_CONFIG, encoding="ascii")
        draft.rename(model)

    def shut(self) -> None:
        """Close it for good: it does not open when the worker answers."""
        self._shut_file.touch()
        self.close()


def stop_file_of(model: Path) -> Path:
    """The stop file of the run folder whose gate holds this model."""
    return model.parent.parent / "stop"


def wait_for_engine(socket: Path, stop_file: Path) -> None:
    """Return when the worker answers and takes requests, the steps have had time to find it, and the gate is not
    shut for good.

    Raises `EngineUnavailable` once `stop_file` exists: the server that waits for us could not exit otherwise.
    """
    shut_file = stop_file.with_name(SHUT)
    while not stop_file.exists():
        try:
            if not shut_file.exists() and not control.stats(socket, _ANSWER_SECONDS).draining:
                time.sleep(_RECONNECT_SECONDS)
                return
        except EngineUnavailable:
            pass
        time.sleep(_POLL_SECONDS)
    raise EngineUnavailable("the stack is shutting down")
