from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from headrace.build.manifest import Incomplete
from headrace.config import Config
from headrace.errors import StartupError
from headrace.serving import checks, shared_memory
from perf.stack import free_ports


def config_with(port: int, **engine: object) -> Config:
    return Config(
        server={"http_port": port, "grpc_port": 60001, "metrics_port": 60002},
        engine={"name": "mock", **engine},
    )


def test_a_taken_port_names_the_setting_and_the_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            checks.check_ports(config_with(port))
    message = str(caught.value)
    assert f"port {port} on 127.0.0.1" in message
    assert "TRITON_HTTP_PORT" in message
    assert f"(pid {os.getpid()})" in message
    assert "\n" not in message


@pytest.mark.parametrize("host", ["::", "::1", "0.0.0.0", "localhost"])
def test_any_address_of_this_machine_can_be_used(host: str) -> None:
    http, grpc, metrics = free_ports(3)
    server = {"host": host, "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    checks.check_ports(Config(server=server))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, grpc), family=family), pytest.raises(StartupError, match="TRITON_GRPC_PORT"):
        checks.check_ports(Config(server=server))


def test_a_host_that_is_no_address_is_one_line() -> None:
    with pytest.raises(StartupError, match=r"^server\.host: 'no such host' is no address of this machine"):
        checks.check_ports(Config(server={"host": "no such host"}))


def test_an_address_of_another_machine_says_why() -> None:
    config = Config(server={"host": "192.0.2.1"})
    with pytest.raises(StartupError, match=r"192\.0\.2\.1 cannot be used: Cannot assign requested address"):
        checks.check_ports(config)


def test_shared_memory_that_is_missing_or_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartupError, match="there is no shared memory"):
        checks.check_shared_memory(1, tmp_path / "none")
    monkeypatch.setattr(shared_memory, "free", lambda _folder: 64 * 2**20)
    checks.check_shared_memory(7)
    with pytest.raises(StartupError, match="64 MiB of shared memory free, the 20 Python steps need 80 MiB"):
        checks.check_shared_memory(20)


def test_memory_counts_the_weights_and_the_cache(tmp_path: Path) -> None:
    with (tmp_path / "weights.bin").open("wb") as weights:
        weights.truncate(2**30)
    config = config_with(60000, name="openvino", model=tmp_path, openvino={"kv_cache_gb": 1})
    checks.check_memory(config, 7, lambda: 5 * 2**30)
    with pytest.raises(StartupError, match=r"2048 MiB of memory available, about 4\d\d\d MiB needed"):
        checks.check_memory(config, 7, lambda: 2 * 2**30)
    checks.check_memory(config_with(60000), 7, lambda: 2 * 2**30)


def test_memory_counts_the_rails_where_there_are_any(tmp_path: Path) -> None:
    def needed(policies: str) -> int:
        file = tmp_path / "policy.yaml"
        file.write_text(f"default: a\npolicies: {{a: {policies}}}\n")
        config = config_with(60000)
        config = config.model_copy(update={"guard": config.guard.model_copy(update={"policy": file})})
        with pytest.raises(StartupError, match="MiB needed") as caught:
            checks.check_memory(config, 10, lambda: 0)
        return int(re.findall(r"about (\d+) MiB", str(caught.value))[0])

    assert needed("{prompt: {secret: {redact: 0.5}}}") - needed("{}") == 390


V2_STAT = "anon 1\ninactive_file 100000\n"
V1_STAT = "inactive_file 1\ntotal_inactive_file 100000\n"
V1_NO_LIMIT = "9223372036854771712\n"


def version_2(group: str, limit: str, used: str) -> dict[str, str]:
    return {f"{group}memory.max": limit, f"{group}memory.current": used, f"{group}memory.stat": V2_STAT}


def version_1(group: str, limit: str, used: str) -> dict[str, str]:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    return {f"memory/{group}{name}": text for name, text in zip(names, (limit, used, V1_STAT), strict=True)}


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        pytest.param("0::/\n", version_2("", "1000000\n", "600000\n"), 500_000, id="container"),
        pytest.param("0::/\n", version_2("", "max\n", "600000\n"), None, id="no limit"),
        pytest.param("0::/\n", {}, None, id="root group"),
        pytest.param("0::/\n", version_2("", "1000000\n", "1200000\n"), 0, id="over the limit"),
        pytest.param(
            "0::/a/b\n",
            version_2("a/b/", "max\n", "1\n") | version_2("a/", "800000\n", "500000\n"),
            400_000,
            id="limit in the parent",
        ),
        pytest.param(
            "0::/a/b\n",
            version_2("a/b/", "900000\n", "100000\n") | version_2("a/", "1000000\n", "950000\n"),
            150_000,
            id="a full parent",
        ),
        pytest.param(
            "4:memory:/docker/1\n1:name=systemd:/x\n0::/\n",
            version_1("", "1000000\n", "600000\n"),
            500_000,
            id="version 1",
        ),
        pytest.param(
            "4:memory:/a/b\n",
            version_1("a/b/", V1_NO_LIMIT, "1\n") | version_1("a/", "800000\n", "500000\n"),
            400_000,
            id="v1 parent",
        ),
        pytest.param("4:memory:/\n", version_1("", V1_NO_LIMIT, "600000\n"), None, id="v1 no limit"),
        pytest.param("4:cpu:/\n", version_1("", "1000000\n", "600000\n"), None, id="another controller"),
    ],
)
def test_the_tightest_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str], expected: int | None
) -> None:
    machine = SimpleNamespace(available=2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    (tmp_path / "cgroup").write_text(membership)
    mount = tmp_path / "mount"
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    found = checks.available_memory(tmp_path / "cgroup", mount)
    assert found == (machine.available if expected is None else expected)


def test_a_full_machine_counts_in_a_large_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    (tmp_path / "cgroup").write_text("0::/\n")
    for name, text in version_2("", "1000000\n", "600000\n").items():
        (tmp_path / name).write_text(text)
    assert checks.available_memory(tmp_path / "cgroup", tmp_path) == 1000


def test_a_model_folder_must_hold_a_model(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"^engine\.model: .* has no tokenizer\.json"):
        checks.check_model(config_with(60000, model=tmp_path))
    (tmp_path / "tokenizer.json").touch()
    checks.check_model(config_with(60000, model=tmp_path))
    (tmp_path / "manifest.json").write_text("{", "ascii")
    with pytest.raises(Incomplete, match="run `make setup`"):
        checks.check_model(config_with(60000, model=tmp_path))
