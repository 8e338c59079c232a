"""`build/models.yaml`: how each model is built and what the result must get right."""

from __future__ import annotations

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from headrace import paths
from headrace.build.parts import Sha256
from headrace.errors import StartupError

RECIPES = paths.PROJECT / "build" / "models.yaml"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    """The recipe of one model. Raises `StartupError` that names the entry that is wrong."""
    try:
        content = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
        recipes = TypeAdapter(dict[str, Recipe]).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise StartupError(f"{RECIPES}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, yaml.YAMLError) as error:
        raise StartupError(f"{RECIPES}: cannot be read: {error}") from None
    if name not in recipes:
        raise StartupError(f"{RECIPES}: no recipe for {name}; it has {', '.join(sorted(recipes))}")
    return recipes[name].model_copy(update={"name": name})
