"""What `headrace ask` does: one question, its answer printed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from functools import partial

import typer

from headrace.client import Chunk, Client, Question
from headrace.config import API_KEY_ENV, Config
from headrace.errors import Unavailable
from headrace.serving.status import addresses


def client_of(settings: Config) -> Callable[[], Client]:
    """Of the gateway, or of Triton where there is none. To be made within an event loop."""
    found = addresses(settings)
    if gateway := found.get("gateway_grpc"):
        return partial(Client, gateway, gateway=True, api_key=os.environ.get(API_KEY_ENV))
    return partial(Client, found["grpc"])


async def show(connect: Callable[[], Client], question: Question, seconds: float, as_json: bool) -> None:
    """The text as it comes, or one JSON object at the end. Raises `HeadraceError`."""
    text = ""
    last: Chunk | None = None
    try:
        async with (
            asyncio.timeout(seconds),
            connect() as client,
            contextlib.aclosing(client.stream(question)) as chunks,
        ):
            async for last in chunks:
                text += last.text
                if not as_json:
                    sys.stdout.write(last.text)
                    sys.stdout.flush()
    except TimeoutError:
        raise Unavailable(f"no whole answer within {seconds:g} s, so it was stopped; see --timeout") from None
    finally:
        if text and not as_json:
            typer.echo()
    if as_json and last is not None:
        answer = {
            "text": text,
            "finish_reason": last.finish_reason,
            "prompt_tokens": last.prompt_tokens,
            "completion_tokens": last.completion_tokens,
        }
        typer.echo(json.dumps(answer, ensure_ascii=False))
