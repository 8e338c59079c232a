"""Where torch is not installed, or not needed: nothing loads it, and what needs it says so."""

from __future__ import annotations

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from headrace import paths
from headrace.errors import ConfigError
from headrace.guard import rails
from headrace.guard.hidden import hidden
from headrace.guard.local_model import NotThere
from headrace.guard.policy import PolicyFile

SHIPPED = """\
import sys
from headrace import paths
from headrace.guard import policy, rails
built = rails.build(policy.read(paths.PROJECT / "policy.yaml"), {"HEADRACE_CANARY": "a-word"})
print([rail.name for rail in built])
print([name for name in ("torch", "transformers", "detoxify") if name in sys.modules])
"""
CLASSIFIER = {"tone": {"model": "nowhere", "labels": {"rude": "insult"}}}
FALLS_BACK = {"fallback": "builtin"}


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what needs it: torch itself, once loaded, cannot be taken away, since scipy looks for it."""
    for name in ("transformers", "detoxify.detoxify"):
        monkeypatch.setitem(sys.modules, name, None)


def file(category: str, **rails: Any) -> PolicyFile:
    policy = {"default": "one", "policies": {"one": {"prompt": {category: {"block": 0.5}}}}}
    return PolicyFile.model_validate(policy | {"rails": rails})


def detoxify(**fallback: str) -> dict[str, str]:
    return {"checkpoint": "toxic_original-c1212f89.ckpt", "model": "nowhere", **fallback}


def test_the_shipped_policy_does_not_load_torch() -> None:
    """Presidio and spaCy would where it is installed: a start of 8 s instead of 3, and 280 MB more."""
    command = [sys.executable, "-c", SHIPPED]
    done = subprocess.run(command, cwd=paths.PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "['injection', 'toxicity', 'pii', 'secrets', 'canary']\n[]\n"


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("name", "config"), [("detoxify", detoxify()), ("classifiers", CLASSIFIER)], ids=["detoxify", "classifier"]
)
def test_a_missing_package_says_what_to_run(name: str, config: Any) -> None:
    with pytest.raises(NotThere) as caught:
        rails.build(file("insult", **{name: config}), {})
    assert str(caught.value).startswith(f"rails.{name}")
    assert str(caught.value).endswith(" is not installed; run make setup-detoxify")


@pytest.mark.usefixtures("no_torch")
def test_with_a_fallback_the_built_in_rail_judges_and_says_so() -> None:
    (rail,) = rails.build(file("toxicity", detoxify=detoxify(**FALLS_BACK)), {})
    assert rail.backend.startswith("fallback for detoxify: alt-profanity-check")


@pytest.mark.usefixtures("no_torch")
def test_a_fallback_does_not_hide_that_a_category_is_lost() -> None:
    with pytest.raises(ConfigError, match="no rail finds insult; there are toxicity"):
        rails.build(file("insult", detoxify=detoxify(**FALLS_BACK)), {})


def test_a_rail_that_no_policy_needs_is_not_built() -> None:
    assert rails.build(file("secret", detoxify=detoxify(), classifiers=CLASSIFIER), {})[0].name == "secrets"


def test_what_is_hidden_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "not_seen_yet.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with hidden("not_seen_yet", "json"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("not_seen_yet")
        assert "not_seen_yet" not in sys.modules
        assert importlib.import_module("json") is sys.modules["json"]
        with ThreadPoolExecutor(1) as other:  # where rails may run at the same time
            assert other.submit(importlib.import_module, "not_seen_yet").result() is sys.modules.pop(
                "not_seen_yet"
            )
    assert importlib.import_module("not_seen_yet") is sys.modules.pop("not_seen_yet")
