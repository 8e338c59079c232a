"""Changes to the text of a YAML file that leave all else in it as it is, comments and order too.

Text is put in, and taken out, at the places that PyYAML's nodes give. YAML has more ways to write things than are
known here, so the result is read again, and must say what it should.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

import yaml

from headrace.errors import ConfigError

Place = Sequence[str | int]
"""Keys and positions from the root to a node."""
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

_BLANK = re.compile(r"\s*(#.*)?")
_INDENT = 2


class CannotEdit(ConfigError):
    """The file is written in a way that cannot be changed here; it must be done by hand."""


class Text:
    """A document while it is changed."""

    def __init__(self, text: str) -> None:
        """Raises `yaml.YAMLError`."""
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._values: Any = _unshared(yaml.safe_load(text))

    def result(self) -> str:
        """Raises `CannotEdit` when it does not say what it should."""
        try:
            said = yaml.safe_load(self._text)
        except yaml.YAMLError:
            said = None
        if said != self._values:
            raise CannotEdit("the file cannot be changed as it is written; change it by hand")
        return self._text

    def add(self, path: Place, name: str, value: Value) -> None:
        """A last pair for the mapping at `path`."""
        node = self._node(path)
        self._values_at(path, {})[name] = value
        name = _name(name)
        if self._is_empty(node):
            self._fill(path, node, f"{name}: ", value)
        elif not isinstance(node, yaml.MappingNode):
            raise CannotEdit(f"{_shown(path)}: is no mapping")
        elif node.flow_style:
            self._add_flow(node, f"{name}: {_flow(value)}", [value for _, value in node.value])
        else:
            self._insert_lines(
                self._content_end(node), _block(f"{name}: ", value, node.value[0][0].start_mark.column)
            )

    def append(self, path: Place, value: Value) -> None:
        """A last item for the sequence at `path`."""
        node = self._node(path)
        self._values_at(path, []).append(value)
        if self._is_empty(node):
            self._fill(path, node, "- ", value)
        elif not isinstance(node, yaml.SequenceNode):
            raise CannotEdit(f"{_shown(path)}: is no list")
        elif node.flow_style:
            self._add_flow(node, _flow(value), node.value)
        else:
            self._insert_lines(self._content_end(node), _block("- ", value, node.start_mark.column))

    def set(self, path: Place, name: str, value: str) -> None:
        """This value for `name` in the mapping at `path`."""
        node = self._node(path)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        for key, old in pairs:
            if key.value == name:
                if not isinstance(old, yaml.ScalarNode):
                    raise CannotEdit(f"{_shown(path)}.{name}: is not one value")
                start, end = old.start_mark.index, old.end_mark.index
                self._replace(start, end, self._space(start) + _flow(value))
                self._values_at(path, {})[name] = value
                return
        self.add(path, name, value)

    def remove(self, path: Place, place: int) -> None:
        """The item at `place` of the sequence at `path`, with the comments on its lines."""
        sequence = self._node(path)
        if not isinstance(sequence, yaml.SequenceNode):
            raise CannotEdit(f"{_shown(path)}: is no list")
        values = self._values_at(path, [])
        del values[place]
        node = sequence.value[place]
        start, end = node.start_mark.index, node.end_mark.index
        if sequence.flow_style:
            if comma := re.compile(r"\s*,[ \t]*").match(self._text, end):
                end = comma.end()
            elif comma := re.search(r",\s*\Z", self._text[:start]):
                start = comma.start()
            self._replace(start, end, "")
        else:
            dash = self._text.rindex("-", 0, start)
            self._replace(self._text.rfind("\n", 0, dash) + 1, self._content_end(node), "")
            if not values:  # nothing is left there, which is null
                self._values_at(path[:-1], {})[path[-1]] = None

    def _add_flow(self, node: yaml.CollectionNode, item: str, items: Sequence[yaml.Node]) -> None:
        if items:
            at, item = items[-1].end_mark.index, f", {item}"
        else:
            at = node.end_mark.index - 1
        self._replace(at, at, item)

    def _fill(self, path: Place, node: yaml.Node, lead: str, value: Value) -> None:
        """What has no content yet."""
        parent = self._node(path[:-1])
        if not isinstance(parent, yaml.MappingNode):
            raise CannotEdit(f"{_shown(path)}: is not in a mapping")
        start, end = node.start_mark.index, node.end_mark.index
        if parent.flow_style:
            item = f"[{_flow(value)}]" if lead == "- " else f"{{{lead}{_flow(value)}}}"
            self._replace(start, end, self._space(start) + item)
            return
        column = next(key.start_mark.column for key, _ in parent.value if key.value == path[-1])
        if not self._text[end : self._line_end(end)].strip():
            start = len(self._text[:start].rstrip(" "))
        self._replace(start, end, "")
        self._insert_lines(self._line_end(start), _block(lead, value, column + _INDENT))

    def _insert_lines(self, at: int, lines: Sequence[str]) -> None:
        joined = "".join(line + self._newline for line in lines)
        if at and self._text[at - 1] != "\n":
            joined = self._newline + joined
        self._replace(at, at, joined)

    def _content_end(self, node: yaml.Node) -> int:
        """After the last line of `node`, without the comments that follow."""
        if _is_flow(node):
            return self._line_end(node.end_mark.index)
        lines = self._text[: node.end_mark.index].splitlines(keepends=True)
        while lines and _BLANK.fullmatch(lines[-1].rstrip("\r\n")):
            lines.pop()
        end = len("".join(lines))
        last = _last(node)
        if not _is_flow(last):  # it may end in what looks like a comment
            end = max(end, last.end_mark.index)
        return end

    def _space(self, at: int) -> str:
        """What a value at this place needs before it."""
        return "" if self._text[at - 1].isspace() else " "

    def _line_end(self, at: int) -> int:
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found + 1

    def _replace(self, start: int, end: int, new: str) -> None:
        self._text = self._text[:start] + new + self._text[end:]

    def _is_empty(self, node: yaml.Node) -> bool:
        if isinstance(node, yaml.ScalarNode):
            return node.tag == "tag:yaml.org,2002:null"
        return self._text[node.start_mark.index : node.end_mark.index] in ("{}", "[]")

    def _values_at(self, path: Place, empty: Any) -> Any:
        """What is to be there; `empty` from now on where that is nothing."""
        found = self._values
        for step in path[:-1]:
            found = found[step]
        if path and found[path[-1]] is None:
            found[path[-1]] = empty
        return found[path[-1]] if path else found

    def _node(self, path: Place) -> yaml.Node:
        node: Any = yaml.compose(self._text, yaml.SafeLoader)
        for step in path:
            if isinstance(node, yaml.MappingNode):
                node = next((value for key, value in node.value if key.value == step), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
            else:
                node = None
            if node is None:
                raise CannotEdit(f"{_shown(path)}: cannot be changed as it is written; change it by hand")
        return cast("yaml.Node", node)


def _block(lead: str, value: Value, column: int) -> list[str]:
    """In lines of its own, two levels deep; what is deeper stands in one line."""
    indent = " " * column
    if not isinstance(value, dict) or not lead.endswith(": "):
        return [f"{indent}{lead}{_flow(value)}"]
    lines = [f"{indent}{lead.rstrip()}"]
    for name, inner in value.items():
        if isinstance(inner, list) and inner:
            lines.append(f"{indent}  {_name(name)}:")
            lines += [f"{indent}    - {_flow(item)}" for item in inner]
        else:
            lines.append(f"{indent}  {_name(name)}: {_flow(inner)}")
    return lines


def _flow(value: Value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_name(name)}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # YAML's double quotes read JSON's, but for pairs of surrogates


def _name(name: str) -> str:
    """In quotes where YAML takes it for something else, such as `on` and `123`."""
    return name if yaml.safe_load(name) == name else json.dumps(name)


def _unshared(value: Any) -> Any:
    """A copy in which what an alias repeats is there twice."""
    if isinstance(value, dict):
        return {name: _unshared(inner) for name, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _last(node: yaml.Node) -> yaml.Node:
    """The last thing in it that is written in one piece."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node


def _is_flow(node: yaml.Node) -> bool:
    if isinstance(node, yaml.CollectionNode):
        return bool(node.flow_style)
    return isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">")


def _shown(path: Place) -> str:
    return ".".join(map(str, path)) or "file"
