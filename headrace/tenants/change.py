"""Changes to `tenants.yaml`: one writer at a time, the result checked, then put in place at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.errors import ConfigError
from headrace.tenants import keys
from headrace.tenants.edit import CannotEdit, Text, Value
from headrace.tenants.file import TenantSection, TenantsFile, parse

NEW_FILE = "tenants: {}\n"


def add_tenant(
    file: Path, name: str, settings: Mapping[str, Value], now: datetime, expires: datetime | None
) -> str:
    """Returns its first key, which nobody can be told again. Makes the file where there is none.

    Raises `ConfigError` when it is there already, or would not be right.
    """
    stored, key = _new_key(now, expires)
    with _changing(file, may_be_new=True) as (text, said):
        if name in said.tenants:
            raise ConfigError(f"tenant {name} is there already; `headrace tenant rotate` gives it another key")
        text.add(["tenants"], name, {**settings, "keys": [stored]})
    return key


def rotate(file: Path, name: str, now: datetime, overlap: timedelta) -> str:
    """Returns a new key; the tenant's old one is good for `overlap` yet, or until its own earlier end.

    Raises `ConfigError` when there is no such tenant, or it has two live keys already.
    """
    stored, key = _new_key(now, None)
    with _changing(file) as (text, said):
        tenant = _tenant(said, name)
        live = [(place, old) for place, old in enumerate(tenant.keys) if old.is_live(now)]
        if len(live) >= keys.LIVE_KEYS:
            ids = ", ".join(old.id for _, old in live)
            raise ConfigError(f"tenant {name} has {len(live)} live keys already ({ids}); remove one first")
        for place, old in live:
            end = now + overlap
            if old.expires is None or old.expires > end:
                text.set(["tenants", name, "keys", place], "expires", _written(end))
        if "keys" in tenant.model_fields_set:
            text.append(["tenants", name, "keys"], stored)
        else:
            text.add(["tenants", name], "keys", [stored])
    return key


def remove_key(file: Path, key_id: str) -> str:
    """Takes effect as soon as the gateway has read the file again. Returns the tenant's name.

    Raises `ConfigError` when there is no such key.
    """
    with _changing(file) as (text, said):
        for name, tenant in said.tenants.items():
            for place, key in enumerate(tenant.keys):
                if key.id == key_id:
                    text.remove(["tenants", name, "keys"], place)
                    return name
        raise ConfigError(f"no key {key_id}; `headrace tenant list` shows their ids")


def _new_key(now: datetime, expires: datetime | None) -> tuple[dict[str, Value], str]:
    key_id, key = keys.generate()
    stored: dict[str, Value] = {"id": key_id, "sha256": keys.sha256(key).hex(), "created": _written(now)}
    return stored | ({"expires": _written(expires)} if expires else {}), key


def _tenant(said: TenantsFile, name: str) -> TenantSection:
    if name not in said.tenants:
        raise ConfigError(f"no tenant {name}; there are {', '.join(sorted(said.tenants)) or 'none'}")
    return said.tenants[name]


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def _changing(file: Path, may_be_new: bool = False) -> Iterator[tuple[Text, TenantsFile]]:
    """The file's text, to be changed, and what it says. Nothing is written when the block raises."""
    file = file.resolve()  # where it is a link, what it leads to is changed
    with _alone(file.parent):
        if may_be_new and not file.exists():
            text, said = NEW_FILE, TenantsFile(tenants={})
        else:
            said = parse(file)
            text = file.read_bytes().decode("utf-8")  # its line ends as they are
        changed = Text(text)
        yield changed, said
        _replace(file, changed.result())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The only writer of this folder's tenants. The lock dies with its holder and leaves no file."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise ConfigError(f"{folder}: no such folder") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: Path, text: str) -> None:
    """All of it or nothing, whatever happens: checked and on disk before it gets the name."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(text.encode())
            handle.flush()
            _as_before(descriptor, file)
            os.fsync(descriptor)
        _check(draft, file)
        draft.replace(file)
        _sync(file.parent)
    finally:
        draft.unlink(missing_ok=True)


def _as_before(descriptor: int, file: Path) -> None:
    try:
        before = file.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)  # it holds no secret
        return
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)


def _check(draft: Path, file: Path) -> None:
    try:
        parse(draft)
    except ConfigError as error:
        raise CannotEdit(f"not changed, since it would be wrong: {error}".replace(str(draft), str(file))) from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
