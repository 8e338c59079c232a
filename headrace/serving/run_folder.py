"""The folder of one running stack: its files, and the lock that makes it the only one on its ports."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, TypeVar

import msgspec
import yaml

from headrace import paths
from headrace.config import Config
from headrace.errors import StartupError
from headrace.serving.status import Status
from headrace.yaml_file import Section

AnySection = TypeVar("AnySection", bound=Section)

# sun_path holds 108 bytes with its terminating zero.
MAX_SOCKET_PATH_BYTES = 107
# Triton 2.51 starts every Python step by `bash -c` and does not quote the paths: nothing but these is sure.
_UNQUOTED = re.compile(r"[\w/.,:@%+=-]+")


class RunFolder:
    """Where a stack's files lie. Only its owner may look inside: the engine's socket is there."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.pid_file = self.root / "pid"
        self.lock_file = self.root / "lock"
        self.start_lock_file = self.root / "start.lock"
        self.status_file = self.root / "status.json"
        self.config_file = self.root / "config.yaml"
        self.log_file = self.root / "logs" / "headrace.jsonl"
        self.console_file = self.root / "logs" / "console.log"
        """What a supervisor in the background prints."""
        self.served = self.root if _UNQUOTED.fullmatch(str(self.root)) else self._aside
        """What Triton reads."""
        self.models = self.served / "models"
        self.ensembles = self.served / "ensembles"
        self.gate = self.served / "gate"
        self.stop_file = self.served / "stop"
        """Its presence tells the gate to give up, so that the server can exit."""
        self.shut_file = self.served / "shut"
        """Its presence keeps the gate shut although the worker takes requests."""
        self.backends = self.served / "backends"

    @classmethod
    def of(cls, config: Config) -> RunFolder:
        return cls(paths.run_folder(config.server.http_port))

    @property
    def identity(self) -> str:
        """Ten hex digits that only this folder has on this machine."""
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10]

    @property
    def shared_memory_prefix(self) -> str:
        """How the names of this stack's shared memory segments start. Never a prefix of another stack's."""
        return f"headrace-{self.identity}-"

    @property
    def socket(self) -> Path:
        """The engine's socket; aside where this path is too long for one."""
        usual = self.root / "engine.sock"
        return usual if len(os.fsencode(usual)) <= MAX_SOCKET_PATH_BYTES else self._aside / usual.name

    @property
    def _aside(self) -> Path:
        """A private temporary folder with a short and plain name, for what cannot lie in this one."""
        return Path(tempfile.gettempdir()) / f"headrace-{os.getuid()}-{self.identity}"

    def create(self) -> None:
        """Make the folders, private to this user. Raises `StartupError`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            self.log_file.parent.mkdir(exist_ok=True)
            for folder in {self.socket.parent, self.served}:
                folder.mkdir(mode=0o700, exist_ok=True)
                owner = folder.lstat()
                # One with a guessable name in a shared place may have been made by somebody else.
                if owner.st_uid != os.getuid() or owner.st_mode & 0o077 or not stat.S_ISDIR(owner.st_mode):
                    raise StartupError(f"{folder}: not private to this user; remove it")
        except OSError as error:
            raise StartupError(f"{error.filename or self.root}: {error.strerror}; cannot keep run files") from None
        if not _UNQUOTED.fullmatch(str(self.served)):
            raise StartupError(f"{self.served}: Triton cannot start from such a path; set TMPDIR to a plain one")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one supervisor of this folder. The kernel lets go when this process ends, however it ends.

        Raises `StartupError` when another supervisor runs.
        """
        with self.lock_file.open("a") as file:
            if not _take(file):
                message = (
                    f"a stack already runs here (pid {self.pid() or 'unknown'}); stop it with `headrace down`"
                )
                raise StartupError(message)
            self.create()  # again: who held the lock until now may have removed what lies aside
            self.pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
            try:
                yield
            finally:
                self.pid_file.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    self._aside.rmdir()

    @contextlib.contextmanager
    def start_lock(self) -> Iterator[None]:
        """Be the one command that starts a stack here; waits for another one."""
        with self.start_lock_file.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def locked(self) -> bool:
        """True while a supervisor runs."""
        try:
            with self.lock_file.open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StartupError(
                f"{self.lock_file}: {error.strerror}; set HEADRACE_HOME to a folder of yours"
            ) from None
        return False

    def pid(self) -> int | None:
        """The supervisor's process id, as it wrote it."""
        try:
            return int(self.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def clear(self) -> None:
        """Remove what an earlier stack left, except its logs."""
        for file in (self.socket, self.stop_file, self.shut_file, self.status_file):
            file.unlink(missing_ok=True)
        for folder in (self.models, self.ensembles, self.gate, self.backends):
            shutil.rmtree(folder, ignore_errors=True)

    def write_config(self, config: Config) -> None:
        """The configuration with every override applied: what all parts of the stack read."""
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        _write(self.config_file, text)

    def read_section(self, name: str, kind: type[AnySection]) -> AnySection | None:
        """A section as the running stack uses it, whatever the environment says now."""
        try:
            return kind(**yaml.safe_load(self.config_file.read_text(encoding="utf-8"))[name])
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
            return None

    def write_status(self, status: Status) -> None:
        _write(self.status_file, msgspec.json.format(msgspec.json.encode(status), indent=1).decode())

    def read_status(self) -> Status | None:
        """What the supervisor last wrote; None when there is nothing readable."""
        try:
            return msgspec.json.decode(self.status_file.read_bytes(), type=Status)
        except (OSError, msgspec.MsgspecError):
            return None


def _take(file: TextIO) -> bool:
    """Lock it, trying for half a second: whoever asks whether it is locked holds it for a moment."""
    for _ in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def _write(file: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old text or the new one."""
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(file)
