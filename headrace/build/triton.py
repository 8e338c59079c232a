"""Where the unpacked Triton server lies and how to run it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.build import interpreter, parts
from headrace.errors import StartupError

PART = "nvidia-pytriton"


@dataclass(frozen=True)
class TritonDistribution:
    """A tritonserver with its libraries, its response cache and the Python backend of the running Python."""

    server: Path
    """The executable."""
    libraries: Path
    """Folder of the shared libraries that come with it."""
    caches: Path
    """For `--cache-directory`."""
    python_backend: Path
    """The folder `python/` that a `--backend-directory` needs: backend, utilities and stub."""
    libpython: Path
    """The running interpreter's shared library: the stub must load this build, not the system's."""

    @classmethod
    def locate(cls) -> TritonDistribution:
        """The one that set-up unpacked. Raises `StartupError` when it, or this Python, is not fit."""
        libpython = interpreter.libpython()
        problem = interpreter.problem()
        if problem or not libpython:
            raise StartupError(problem or f"{sys.executable} has no shared libpython")
        part = parts.part(PART)
        part.verify()
        folder = part.folder
        return cls(
            server=folder / "bin" / "tritonserver",
            libraries=folder / "lib",
            caches=folder / "caches",
            python_backend=folder / f"python-{sys.version_info.major}.{sys.version_info.minor}" / "python",
            libpython=libpython,
        )

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables for tritonserver: `base` (default: our own) with its library and program paths."""
        values = dict(os.environ if base is None else base)
        values["LD_LIBRARY_PATH"] = _joined(
            str(self.libpython.parent), str(self.libraries), values.get("LD_LIBRARY_PATH", "")
        )
        # the stub finds its interpreter, and so the packages, by PATH
        values["PATH"] = _joined(str(Path(sys.executable).parent), values.get("PATH", os.defpath))
        values["VIRTUAL_ENV"] = sys.prefix
        for name in ("PYTHONHOME", "PYTHONPATH"):
            values.pop(name, None)
        return values


@dataclass(frozen=True)
class PerfAnalyzer:
    """NVIDIA's load generator; `python -m headrace.build perf` fetches it."""

    executable: Path
    libraries: Path

    @classmethod
    def locate(cls) -> PerfAnalyzer:
        """Raises `StartupError` when it was not fetched."""
        client, server = parts.part("tritonclient"), parts.part(PART)
        client.verify()
        server.verify()
        return cls(client.folder / "bin" / "perf_analyzer", server.folder / "perf-lib")

    def environment(self) -> dict[str, str]:
        libraries = _joined(str(self.libraries), os.environ.get("LD_LIBRARY_PATH", ""))
        return dict(os.environ) | {"LD_LIBRARY_PATH": libraries}


def _joined(*folders: str) -> str:
    return os.pathsep.join(folder for folder in folders if folder)
