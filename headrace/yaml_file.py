"""Our YAML files, read the same way everywhere: duplicate keys refused, every problem with its line."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from headrace.errors import ConfigError

Location = tuple[str | int, ...]
T = TypeVar("T")


class Section(BaseModel):
    """A mapping in one of our files: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _emptied(cls, values: Any) -> Any:
        """With all its keys commented out it is null in YAML, and says nothing."""
        return {} if values is None else values


@dataclass(frozen=True)
class Document:
    """What a file says, and where."""

    file: Path
    values: Any
    places: dict[Location, str]
    """Location of every key and item → `file:line`."""

    def errors(self, error: ValidationError) -> ConfigError:
        """Each problem as `file:line: key: problem`; what is not there has the line of the key around it."""
        return ConfigError("; ".join(self._problem(found["loc"], found["msg"]) for found in error.errors()))

    def _problem(self, location: Location, problem: str) -> str:
        around = (location[:end] for end in range(len(location), 0, -1))
        place = next((self.places[found] for found in around if found in self.places), self.file)
        return f"{place}: {'.'.join(map(str, location)) or 'file'}: {problem}"


def read(file: Path) -> Document:
    """Raises `ConfigError` for what is not YAML, `FileNotFoundError` for what is not there."""
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            return Document(file, None, {})
        lines = dict(_lines(node, ()))
        places = {location: f"{file}:{line}" for location, line in lines.items()}
        return Document(file, loader.construct_document(node), places)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from None


def read_as(file: Path, shape: type[T]) -> T:
    """The file as a value of this type. Raises `ConfigError` that names line and key."""
    try:
        document = read(file)
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file") from None
    try:
        return TypeAdapter(shape).validate_python(document.values)
    except ValidationError as error:
        raise document.errors(error) from None


class _Loader(yaml.SafeLoader):
    """YAML's own rule that keys are unique, which the library does not check."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _lines(node: yaml.Node, location: Location) -> Iterator[tuple[Location, int]]:
    if isinstance(node, yaml.MappingNode):
        children = [(key.value, key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
    elif isinstance(node, yaml.SequenceNode):
        children = [(index, value, value) for index, value in enumerate(node.value)]
    else:
        return
    for name, marked, value in children:
        yield (*location, name), marked.start_mark.line + 1
        yield from _lines(value, (*location, name))
