"""Builds the default model: requantize, convert, write the tokenizer, check; only then it gets its name."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from headrace import paths
from headrace.build import manifest, parts, recipes
from headrace.build.atomic import replaced_folder, sha256_of
from headrace.build.check import check
from headrace.build.convert import convert
from headrace.build.manifest import Manifest
from headrace.build.progress import Progress
from headrace.build.quantize import requantize
from headrace.build.recipes import Recipe
from headrace.build.tokenizer import write_files
from headrace.errors import StartupError

_LAYOUT = 1
"""Raise it when the code below makes something else of the same recipe."""
_TOOLS = ("gguf", "openvino", "openvino-genai", "openvino-tokenizers", "tokenizers")


def default_recipe() -> Recipe:
    return recipes.recipe(paths.DEFAULT_MODEL)


def verify(folder: Path, deep: bool = False) -> Manifest:
    """Check a built model; quick, or with every byte when `deep`. Raises `manifest.Incomplete`."""
    return manifest.verify(folder, deep=deep)


def ready(recipe: Recipe, folder: Path, deep: bool = False) -> bool:
    """Whether `folder` holds exactly what the recipe makes."""
    try:
        manifest.verify(folder, _fingerprint(recipe), deep)
    except manifest.Incomplete:
        return False
    return True


def build(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Make the model. The caller holds the set-up lock and has fetched the source's part."""
    source = parts.part(recipe.source.part).folder / recipe.source.file
    if (found := sha256_of(source)) != recipe.source.sha256:
        raise StartupError(f"{source}: expected sha256 {recipe.source.sha256}, got {found}")
    with replaced_folder(folder) as target:
        work = target / "work"
        work.mkdir()
        weights = work / "q8_0.gguf"
        with progress.step(f"{recipe.name}: weights to Q8_0"):
            requantize(source, weights)
        with progress.step(f"{recipe.name}: OpenVINO model"):
            convert(weights, target)
        with progress.step(f"{recipe.name}: tokenizer"):
            write_files(source, recipe.eos_token_ids, target)
        with progress.step(f"{recipe.name}: {recipe.known_prompt.question}"):
            check(target, recipe.known_prompt)
        weights.unlink()
        work.rmdir()
        manifest.write(target, _fingerprint(recipe), _details(recipe))


def _fingerprint(recipe: Recipe) -> str:
    tools = [f"{name}={version(name)}" for name in _TOOLS]
    what = recipe.model_dump_json(exclude={"about", "licence"})
    return hashlib.sha256("\n".join([str(_LAYOUT), what, *tools]).encode()).hexdigest()


def _details(recipe: Recipe) -> dict[str, object]:
    source = parts.part(recipe.source.part)
    return {
        "name": recipe.name,
        "licence": recipe.licence,
        "source": recipe.source.model_dump() | {"version": source.version, "wheel": source.sha256},
        "tools": {name: version(name) for name in _TOOLS},
    }
