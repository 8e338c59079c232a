"""Is the stack that runs here the one that is asked for now?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from headrace.config import Config
from headrace.serving.run_folder import RunFolder
from headrace.yaml_file import Location


def found(folder: RunFolder, config: Config) -> list[str]:
    """Each setting of the running stack that is another in `config`, as `KEY is THIS, not THAT`."""
    try:
        running = yaml.safe_load(folder.config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    # What nobody chose, and what depends on where the command is run.
    cpus = {"threads"} - config.engine.openvino.model_fields_set
    asked = config.model_dump(mode="json", exclude={"engine": {"openvino": cpus}})
    return [f"{key} is {this}, not {that}" for key, this, that in _differing(running, asked, ())]


def _differing(running: Any, asked: Any, around: Location) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(running, dict) and isinstance(asked, dict):
        for name, value in asked.items():
            yield from _differing(running.get(name), value, (*around, name))
    elif running != asked:
        yield ".".join(map(str, around)), running, asked
