"""Is everything there that the stack needs? Asked before anything starts; each failure is one clear line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from headrace import cgroups, paths
from headrace.build import manifest, model
from headrace.build.triton import TritonDistribution
from headrace.config import PORT_ENVS, Config
from headrace.errors import StartupError
from headrace.guard import policy
from headrace.serving import listen, repository, shared_memory

_MIB = 1024 * 1024
# A stub with numpy and this package, and the server itself with its caches.
_STUB_BYTES = 60 * _MIB
_SERVER_BYTES = 300 * _MIB
# What the built-in rails add to each of the three guards (measured, all of them together).
_RAILS_BYTES = 3 * 130 * _MIB
# A control group's limit, what it uses, and what can be taken back of that: in version 2, in version 1.
_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def check_ports(config: Config) -> None:
    """Every port can be bound. Raises `StartupError` that names the setting and who holds the port."""
    hosts = {"server": config.server.host}
    if config.gateway.enabled:
        hosts["gateway"] = config.gateway.host
    taken: dict[int, str] = {}
    for (section, field), variable in PORT_ENVS.items():
        if section not in hosts:
            continue
        host = hosts[section]
        address = listen.resolve(host)
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        port = getattr(getattr(config, section), field)
        if port in taken:
            raise StartupError(f"port {port} is that of {taken[port]} and of {section}.{field}; they must differ")
        taken[port] = f"{section}.{field}"
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(address), port))
            except OSError as error:
                reason = _holder(port) or error.strerror or str(error)
                raise StartupError(
                    f"port {port} on {host} cannot be used: {reason}; "
                    f"set {variable} ({section}.{field}) to a free port"
                ) from None


def _holder(port: int) -> str | None:
    """Who listens on this port, where this user may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.pid and connection.status == psutil.CONN_LISTEN and port in connection.laddr:
                return f"held by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


def check_shared_memory(stubs: int, folder: Path = shared_memory.SHARED_MEMORY) -> None:
    """There is room for the segments of this many stubs. Raises `StartupError`."""
    try:
        free = shared_memory.free(folder)
    except OSError:
        raise StartupError(f"{folder}: there is no shared memory; mount a tmpfs there") from None
    needed = shared_memory.needed(stubs)
    if free < needed:
        raise StartupError(
            f"{folder}: {free // _MIB} MiB of shared memory free, the {stubs} Python steps need "
            f"{needed // _MIB} MiB; make it larger (in a container: --shm-size)"
        )


def check_memory(config: Config, stubs: int, available: Callable[[], int] | None = None) -> None:
    """The engine, the server and its steps fit into memory. Raises `StartupError`."""
    needed = _SERVER_BYTES + stubs * _STUB_BYTES + config.server.response_cache_mb * _MIB
    if policy.read(config.guard.policy).categories:
        needed += _RAILS_BYTES
    if config.engine.name == "openvino":
        weights = sum(file.stat().st_size for file in config.engine.model.glob("*") if file.is_file())
        needed += 2 * weights + int(config.engine.openvino.kv_cache_gb * 1024 * _MIB)
    free = (available or available_memory)()
    if free < needed:
        raise StartupError(
            f"{free // _MIB} MiB of memory available, about {needed // _MIB} MiB needed; "
            "free some, or lower engine.openvino.kv_cache_gb and server.response_cache_mb"
        )


def available_memory(membership: Path = cgroups.MEMBERSHIP, mount: Path = cgroups.MOUNT) -> int:
    """Bytes that this process may still take: the machine's, or a control group's where that is less."""
    free: int = psutil.virtual_memory().available
    for group in cgroups.groups("memory", membership, mount):
        left = _left(group)
        if left is not None:
            free = min(free, left)
    return max(0, free)


def _left(group: Path) -> int | None:
    """Bytes that a control group leaves, None where it has no limit."""
    for limit, used, reclaimable in _MEMORY_FILES:
        # `max`, which means no limit, is no number.
        with suppress(OSError, ValueError):
            stat = dict(line.split() for line in _text(group / "memory.stat").splitlines())
            return int(_text(group / limit)) - int(_text(group / used)) + int(stat.get(reclaimable, 0))
    return None


def _text(file: Path) -> str:
    return file.read_text(encoding="ascii")


def check_model(config: Config) -> None:
    """The model's folder is there, and whole where set-up built it. Raises `StartupError`."""
    folder = config.engine.model
    if folder == paths.default_model() or (folder / manifest.NAME).exists():
        model.verify(folder)
    elif not folder.is_dir():
        raise StartupError(f"engine.model: there is no folder {folder}; name a folder with a checkpoint")
    elif not (folder / "tokenizer.json").is_file():
        raise StartupError(f"engine.model: {folder} has no tokenizer.json; name a folder with a checkpoint")


def check_all(config: Config, project: Path = paths.PROJECT) -> TritonDistribution:
    """Everything, the quick checks first. Returns the Triton to run. Raises `StartupError`."""
    check_ports(config)
    distribution = TritonDistribution.locate()
    check_model(config)
    repositories = [project / "model_repository", project / "ensembles"]
    # One more for the gate.
    stubs = repository.count_python_instances(repositories, config.profile) + 1
    check_shared_memory(stubs)
    check_memory(config, stubs)
    return distribution
