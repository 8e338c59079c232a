"""`python -m headrace.worker --socket PATH`: load the engine, warm it up, then listen.

The socket appears only after a real generation, so whoever can connect can be served. Exit codes: 0 after
SIGTERM, 78 when the configuration or the model is wrong (restarting would not help), 70 when the engine broke, in
the warm-up or later.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import structlog

from headrace import config as configuration
from headrace.config import Config
from headrace.engine.interface import Engine, EngineRequest, SamplingParams
from headrace.engine.registry import create
from headrace.engine.trtllm.options import check_limits
from headrace.errors import HeadraceError, StartupError
from headrace.logs import configure
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from headrace.text.tokenizer import Tokenizer
from headrace.worker.server import Worker

EXIT_BAD_CONFIG = 78
EXIT_ENGINE_BROKE = 70

log = structlog.get_logger("worker")


async def _warm_up(engine: Engine, config: Config, tokenizer: Tokenizer) -> None:
    """One real generation: the first one also compiles and allocates."""
    prompt = ChatTemplate(config.engine.model, tokenizer).encode([Message("user", "Say hello.")])
    request = EngineRequest(id="warm-up", token_ids=tuple(prompt), sampling=SamplingParams(max_tokens=8))
    made = 0
    async for delta in engine.submit(request):
        made += len(delta.token_ids)
    if made == 0:
        raise StartupError("the engine made no token in the warm-up; see its log")


async def serve(config: Config, socket_path: Path) -> int:
    """Run until a signal or until the engine breaks. Returns the exit code."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if config.engine.name == "trtllm":
        check_limits(config.engine, config.limits)
    tokenizer = Tokenizer(config.engine.model)
    engine = create(config.engine.name)
    try:
        await engine.start(config.engine)
        await _warm_up(engine, config, tokenizer)
        return await _work(Worker(engine, config, tokenizer), config, socket_path, ended)
    finally:
        with contextlib.suppress(Exception):
            await engine.stop()


async def _work(worker: Worker, config: Config, socket_path: Path, ended: asyncio.Event) -> int:
    server = await worker.listen(socket_path)
    log.info("ready", engine=config.engine.name, model=str(config.engine.model))
    waits = [asyncio.create_task(event.wait()) for event in (ended, worker.broken)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    # A turn of the loop, so that failures already queued still leave.
    await asyncio.sleep(0.05)
    server.close()
    # Before the engine ends its requests as `cancelled`: who still waits must hear of an error instead.
    for connection in list(worker.connections):
        connection.close()
    return EXIT_ENGINE_BROKE if worker.broken.is_set() else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="headrace.worker", description=__doc__.splitlines()[0])
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    arguments = parser.parse_args()
    configure("worker")
    arguments.socket.unlink(missing_ok=True)
    try:
        return asyncio.run(serve(configuration.load(), arguments.socket))
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_BAD_CONFIG if isinstance(error, StartupError) else EXIT_ENGINE_BROKE
    finally:
        arguments.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
