"""How `tritonserver` is called: every flag, and the environment of everything that a stack starts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

from headrace.build.triton import TritonDistribution
from headrace.config import CONFIG_FILE_ENV, PORT_ENVS, Config
from headrace.serving import listen
from headrace.serving.run_folder import RunFolder

SOCKET_ENV = "HEADRACE_SOCKET"
# Ours, but no settings.
_PASSED_ON = ("HEADRACE_HOME", "HEADRACE_CANARY", "HEADRACE_GUARD_KEY")
# Seconds that Triton waits for what still runs once it was told to stop; the drain has happened before.
EXIT_TIMEOUT_SECONDS = 5
ADMIN_APIS = "shared-memory,model-repository,trace,logging"


def command(distribution: TritonDistribution, config: Config, folder: RunFolder) -> list[str]:
    """The server's command line. A new admin key goes into every call and is told to nobody."""
    server = config.server
    locked = f"{ADMIN_APIS}:headrace-admin={_unsendable_key()}"
    return [
        str(distribution.server),
        "--id=headrace",
        f"--model-repository={folder.models}",
        f"--model-repository={folder.ensembles}",
        f"--model-repository={folder.gate}",
        f"--model-config-name={config.profile}",
        # Nobody can load or unload over the network in this mode, and the gate needs it.
        "--model-control-mode=poll",
        "--repository-poll-secs=1",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--exit-on-error=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_SECONDS}",
        f"--backend-directory={folder.backends}",
        f"--backend-config=python,shm-region-prefix-name={folder.shared_memory_prefix}",
        f"--cache-directory={distribution.caches}",
        f"--cache-config=local,size={server.response_cache_mb * 1024 * 1024}",
        f"--http-address={listen.http_address(server.host)}",
        f"--http-port={server.http_port}",
        f"--http-restricted-api={locked}",
        f"--grpc-address={listen.grpc_address(server.host)}",
        f"--grpc-port={server.grpc_port}",
        f"--grpc-restricted-protocol={locked}",
        f"--metrics-address={listen.http_address(server.host)}",
        f"--metrics-port={server.metrics_port}",
        "--allow-gpu-metrics=false",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        "--log-format=ISO8601",
    ]


def environment(distribution: TritonDistribution, folder: RunFolder) -> dict[str, str]:
    """The server's environment: the stack's, and where the distribution's libraries and Python are."""
    return distribution.environment(stack_environment(os.environ, folder))


def stack_environment(caller: Mapping[str, str], folder: RunFolder) -> dict[str, str]:
    """The caller's environment, with our own settings taken out: they are already in the resolved file."""
    kept = {
        name: value
        for name, value in caller.items()
        if name not in PORT_ENVS.values() and (name in _PASSED_ON or not name.startswith("HEADRACE_"))
    }
    return kept | {
        CONFIG_FILE_ENV: str(folder.config_file),
        SOCKET_ENV: str(folder.socket),
        "PYTHONUNBUFFERED": "1",
    }


def _unsendable_key() -> str:
    """Random, and with a line break: whoever reads it off the command line cannot put it into a header."""
    return f"{secrets.token_hex(32)}\n{secrets.token_hex(4)}"
