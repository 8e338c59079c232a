"""Facts about the machine and the software, for the first line of a run."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from headrace import __version__, cpus, paths
from headrace.build import parts, triton
from headrace.config import Config
from perf.records import Machine

_PACKAGES = ("openvino", "openvino-genai", "tritonclient", "grpcio", "numpy")


def facts(config: Config, **benchmark: object) -> Machine:
    """`benchmark`: the benchmark's own settings."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    versions |= {
        "headrace": __version__,
        "python": platform.python_version(),
        "linux": ".".join(platform.release().split(".")[:2]),
        triton.PART: parts.part(triton.PART).version,
    }
    settings = config.model_dump(mode="json", exclude={"server": {"http_port", "grpc_port", "metrics_port"}})
    settings["engine"]["model"] = config.engine.model.name
    settings["guard"]["policy"] = config.guard.policy.name
    return Machine(
        run=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=_cpu(),
        cores=cpus.available(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        load_average=os.getloadavg()[0],
        versions=versions,
        revision=_revision(),
        settings=settings | {"benchmark": benchmark},
    )


def _cpu() -> str:
    """Its name and the features that decide how fast matrices are multiplied."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    values = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    flags = set(values.get("flags", "").split())
    wanted = ("avx2", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
    return f"{values.get('model name', platform.machine())} ({' '.join(f for f in wanted if f in flags)})"


def _revision() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=paths.PROJECT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    revision = git("rev-parse", "--short=12", "HEAD")
    return (revision or "unknown") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
