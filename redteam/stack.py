"""The server that is attacked: a stack of the suite's own, or the one that runs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from headrace import paths
from headrace.client import Client
from headrace.config import CoalescingConfig, Config, MockConfig
from headrace.errors import Unavailable
from headrace.guard import policy
from headrace.serving.status import addresses
from headrace.text.chat import ChatTemplate
from headrace.text.tokenizer import Tokenizer
from perf.stack import running
from redteam.drive import Target

SHIPPED = paths.PROJECT / "policy.yaml"
ANSWERS = "redteam_answers"
"""Judges answers, by the shipped default's rules, and no prompts: so what the engine is to repeat gets to it."""
ENGINE = "`mock`, which repeats its prompt"
CANARY = "amber-kestrel-77"
_CANARY_ENV = "REDTEAM_CANARY"
_READY_SECONDS = 5.0


@contextlib.contextmanager
def started(config: Config) -> Iterator[Target]:
    """A stack of our own, whose engine repeats its prompt in the smallest pieces. Raises `StartupError`."""
    engine = config.engine.model_copy(update={"name": "mock", "mock": MockConfig(step_ms=1, tokens_per_step=2)})
    with tempfile.TemporaryDirectory(prefix="headrace-redteam-") as folder, _canary():
        file = Path(folder) / "policy.yaml"
        file.write_text(yaml.safe_dump(with_answers(yaml.safe_load(SHIPPED.read_text("utf-8")))), "utf-8")
        changed = {
            "engine": engine,
            "coalescing": CoalescingConfig(max_tokens=2),
            "guard": config.guard.model_copy(update={"policy": file}),
        }
        with running(config.model_copy(update=changed)) as stack:
            template = ChatTemplate(engine.model, Tokenizer(engine.model))
            yield Target(stack.grpc, {"prompt": policy.read(file).default, "response": ANSWERS}, template)


def with_answers(shipped: Mapping[str, Any]) -> dict[str, Any]:
    """The shipped policy file and one policy more, whose rules are the shipped ones too."""
    default = shipped["policies"][shipped["default"]]
    answers = {name: said for name, said in default.items() if name != "prompt"}
    rails = shipped.get("rails", {}) | {"canary_env": _CANARY_ENV}
    return {**shipped, "policies": shipped["policies"] | {ANSWERS: answers}, "rails": rails}


async def already_running(config: Config) -> Target:
    """The one at the configured ports, with its own policies. Nobody knows beforehand what its engine will say:
    it is asked no cases of answers. Raises `Unavailable`.
    """
    address = addresses(config)["grpc"]
    async with Client(address) as client:
        if not await client.ready(_READY_SECONDS):
            raise Unavailable(f"no server is ready at {address}; start one with `headrace up`")
    return Target(address, {"prompt": None})


@contextlib.contextmanager
def _canary() -> Iterator[None]:
    """The stack that starts meanwhile inherits it; names that begin with HEADRACE_ are its own."""
    os.environ[_CANARY_ENV] = CANARY
    try:
        yield
    finally:
        del os.environ[_CANARY_ENV]
