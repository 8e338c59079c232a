"""Texts that somebody has labelled, in CSV and JSON files: what `headrace guard eval` measures the rails on."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import InvalidRequest
from headrace.guard.evaluation import ANY, Labelled

_LABELS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def read(folder: Path) -> list[tuple[str, list[Labelled]]]:
    """Each file of the folder and of those in it. Raises `InvalidRequest` that names file and line."""
    files = sorted(file for file in folder.rglob("*") if _is_ours(file.relative_to(folder)) and file.is_file())
    found = [(file.relative_to(folder).as_posix(), file) for file in files]
    read = [(name, rows) for name, file in found if (rows := _rows(name, file)) is not None]
    if not read:
        raise InvalidRequest("DIR", f"{folder} holds no .csv and no .jsonl file")
    return read


def _is_ours(file: Path) -> bool:
    """Hidden ones are what systems leave beside files."""
    return file.suffix.lower() in _READERS and not any(part.startswith(".") for part in file.parts)


def _rows(name: str, file: Path) -> list[Labelled] | None:
    """None for a file of something else."""
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidRequest(f"{name}:{line}", f"not a file of UTF-8 text: {error.reason}") from None
    if file.suffix.lower() == ".json" and not text.lstrip().startswith("["):
        return None
    rows = [_labelled(place, row) for place, row in _READERS[file.suffix.lower()](name, text)]
    if not rows:
        raise InvalidRequest(name, "holds no rows")
    return rows


def _csv(name: str, text: str) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            place, line = f"{name}:{line}", reader.line_num + 1
            if not cells:
                continue
            if columns is None:
                columns = _columns(place, cells)
            elif len(cells) > len(columns):
                problem = f"{len(cells)} values for {len(columns)} columns; a text with a comma needs quotes"
                raise InvalidRequest(place, problem)
            else:
                yield place, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        raise InvalidRequest(f"{name}:{line}", f"not a file of columns: {error}") from None


def _columns(place: str, cells: Sequence[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    if missing := {"text", "label"} - set(columns):
        names = " and ".join(f"`{column}`" for column in sorted(missing, reverse=True))
        raise InvalidRequest(place, f"expected a column {names}, found {', '.join(map(repr, columns))}"[:300])
    return columns


def _json(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """An object a line, or one array of them."""
    if text.lstrip().startswith("["):
        for number, row in enumerate(_parsed(f"{name}:1", text), 1):
            yield f"{name}: item {number}", row
        return
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip():
            yield f"{name}:{number}", _parsed(f"{name}:{number}", line)


def _parsed(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidRequest(place, "not valid JSON: too deep") from None
    except ValueError as error:
        raise InvalidRequest(place, f"not valid JSON: {error}") from None


def _labelled(place: str, row: Any) -> Labelled:
    if not isinstance(row, dict) or "text" not in row:
        raise InvalidRequest(place, "expected a column `text`")
    text, label, rail = row["text"], row.get("label"), row.get("rail")
    if not isinstance(text, str):
        raise InvalidRequest(place, f"`text` is {json.dumps(text)[:40]}, expected a text")
    written = "" if label is None else str(label).strip()
    if (bad := _LABELS.get(written.lower())) is None:
        raise InvalidRequest(place, f"label is {written[:40]!r}, expected 1 (should be flagged) or 0")
    if not isinstance(rail, str | None):
        raise InvalidRequest(place, f"rail is {json.dumps(rail)[:40]}, expected a name")
    return Labelled(text, bad, (rail or "").strip() or ANY, place)


_READERS: dict[str, Callable[[str, str], Iterator[tuple[str, Any]]]] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
}
