from __future__ import annotations

from pathlib import Path

import pytest

from headrace.build.triton import TritonDistribution
from headrace.config import Config
from headrace.serving import tritonserver
from headrace.serving.run_folder import RunFolder

DISTRIBUTION = TritonDistribution(
    server=Path("/d/bin/tritonserver"),
    libraries=Path("/d/lib"),
    caches=Path("/d/caches"),
    python_backend=Path("/d/python"),
    libpython=Path("/p/lib/libpython3.11.so.1.0"),
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "8000")


def flags(folder: RunFolder) -> list[str]:
    return tritonserver.command(DISTRIBUTION, Config(), folder)


@pytest.mark.parametrize(
    "flag",
    [
        "--model-control-mode=poll",
        "--repository-poll-secs=1",
        "--strict-readiness=true",
        "--exit-on-error=true",
        "--disable-auto-complete-config",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        "--allow-gpu-metrics=false",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        "--http-port=8000",
        "--grpc-port=8001",
        "--metrics-port=8002",
        "--cache-config=local,size=67108864",
        "--model-config-name=cpu",
        "--log-format=ISO8601",
    ],
)
def test_the_command_line_has(flag: str, folder: RunFolder) -> None:
    assert flag in flags(folder)


@pytest.mark.parametrize(
    ("host", "http", "grpc"),
    [
        ("::", "ipv6:::", "[::]"),
        ("::1", "ipv6:::1", "[::1]"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
    ],
)
def test_each_server_gets_the_address_in_its_own_way(host: str, http: str, grpc: str, folder: RunFolder) -> None:
    command = tritonserver.command(DISTRIBUTION, Config(server={"host": host}), folder)
    assert {f"--http-address={http}", f"--metrics-address={http}", f"--grpc-address={grpc}"} <= set(command)


def test_a_host_name_is_resolved_before_triton_sees_it(folder: RunFolder) -> None:
    command = tritonserver.command(DISTRIBUTION, Config(server={"host": "localhost"}), folder)
    (flag,) = [flag for flag in command if flag.startswith("--http-address=")]
    assert flag in ("--http-address=127.0.0.1", "--http-address=ipv6:::1")


def test_admin_apis_are_locked_with_a_key_that_fits_into_no_header(folder: RunFolder) -> None:
    keys = set()
    for _ in range(2):
        for option in ("--http-restricted-api=", "--grpc-restricted-protocol="):
            (flag,) = [flag for flag in flags(folder) if flag.startswith(option)]
            apis, _, rest = flag.removeprefix(option).partition(":")
            assert set(apis.split(",")) >= {"shared-memory", "model-repository", "trace", "logging"}
            assert len(rest) > 64
            assert "\n" in rest
            keys.add(rest)
    assert len(keys) == 4  # a new one each start


def test_three_repositories_and_a_shared_memory_prefix_of_its_own(folder: RunFolder) -> None:
    repositories = [flag.partition("=")[2] for flag in flags(folder) if flag.startswith("--model-repository=")]
    assert repositories == [str(folder.models), str(folder.ensembles), str(folder.gate)]
    assert f"--backend-config=python,shm-region-prefix-name={folder.shared_memory_prefix}" in flags(folder)


def test_our_settings_reach_the_parts_only_through_the_resolved_file(folder: RunFolder) -> None:
    caller = {
        "HEADRACE_ENGINE__NAME": "mock",
        "TRITON_HTTP_PORT": "9000",
        "HEADRACE_CONFIG": "/mine.yaml",
        "HEADRACE_HOME": "/home",
        "LANG": "C",
    }
    assert tritonserver.stack_environment(caller, folder) == {
        "HEADRACE_HOME": "/home",
        "LANG": "C",
        "HEADRACE_CONFIG": str(folder.config_file),
        "HEADRACE_SOCKET": str(folder.socket),
        "PYTHONUNBUFFERED": "1",
    }


def test_the_stub_finds_the_libraries_and_its_python(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = tritonserver.environment(DISTRIBUTION, folder)
    assert environment["LD_LIBRARY_PATH"].startswith("/p/lib:/d/lib")
    assert environment["HEADRACE_SOCKET"] == str(folder.socket)
    assert "PYTHONPATH" not in environment
