"""`build/models.yaml`: how each model is built and what the result must get right."""

from __future__ import annotations

from pydantic import Field

from headrace import paths, yaml_file
from headrace.build.parts import Sha256
from headrace.errors import StartupError
from headrace.yaml_file import Section

RECIPES = paths.PROJECT / "build" / "models.yaml"


class Source(Section):
    """A GGUF file of a part."""

    part: str
    file: str
    sha256: Sha256


class KnownPrompt(Section):
    """A question whose token count and greedy answer are known: wrong weights or tokenizers fail here."""

    question: str
    tokens: int = Field(gt=0)
    """Of the question in the chat template, ready for the answer."""
    answer_contains: str
    answer_tokens: int = Field(16, gt=0)


class Recipe(Section):
    name: str = ""
    about: str
    licence: str
    source: Source
    eos_token_ids: tuple[int, ...] = Field(min_length=1)
    known_prompt: KnownPrompt


def recipe(name: str) -> Recipe:
    """The recipe of one model. Raises `StartupError` that names what is wrong."""
    recipes = yaml_file.read_as(RECIPES, dict[str, Recipe])
    if name not in recipes:
        raise StartupError(f"{RECIPES}: no recipe for {name}; it has {', '.join(sorted(recipes))}")
    return recipes[name].model_copy(update={"name": name})
