from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.config import Config, ServerConfig, load
from headrace.errors import StartupError
from headrace.serving.run_folder import MAX_SOCKET_PATH_BYTES, RunFolder
from headrace.serving.status import Status


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run" / "8000")
    folder.create()
    return folder


def test_is_private(folder: RunFolder) -> None:
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


def test_the_lock_keeps_a_second_supervisor_out(folder: RunFolder) -> None:
    with folder.lock():
        assert folder.locked()
        with pytest.raises(StartupError, match=rf"already runs here \(pid {folder.pid()}\)"), folder.lock():
            pass
        assert folder.pid() is not None
    assert not folder.locked()
    assert folder.pid() is None


def test_the_lock_of_a_killed_supervisor_is_free(folder: RunFolder) -> None:
    code = f"""if True:
        import pathlib, time
        from headrace.serving.run_folder import RunFolder
        with RunFolder(pathlib.Path({str(folder.root)!r})).lock():
            print("locked", flush=True)
            time.sleep(60)"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    assert folder.locked()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert folder.pid() == holder.pid  # what it wrote is stale
    assert not folder.locked()
    with folder.lock():
        pass


def test_clear_keeps_only_the_logs(folder: RunFolder) -> None:
    for file in (folder.stop_file, folder.shut_file, folder.status_file, folder.socket, folder.log_file):
        file.touch()
    for part in (folder.models, folder.gate, folder.backends, folder.ensembles):
        (part / "deep").mkdir(parents=True)
    folder.clear()
    assert [entry.name for entry in folder.root.iterdir()] == ["logs"]
    assert folder.log_file.exists()


def test_a_short_socket_path_stays_in_the_folder(folder: RunFolder) -> None:
    assert folder.socket == folder.root / "engine.sock"


def test_a_long_socket_path_moves_to_a_private_short_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / ("x" * MAX_SOCKET_PATH_BYTES) / "8000")
    folder.create()
    assert len(str(folder.socket)) <= MAX_SOCKET_PATH_BYTES
    assert stat.S_IMODE(folder.socket.parent.stat().st_mode) == 0o700
    assert folder.socket != RunFolder(folder.root.with_name("8001")).socket
    folder.socket.parent.chmod(0o755)
    with pytest.raises(StartupError, match="not private"):
        folder.create()
    folder.socket.parent.rmdir()


def test_two_folders_never_share_a_shared_memory_prefix(tmp_path: Path) -> None:
    one, other = RunFolder(tmp_path / "8000"), RunFolder(tmp_path / "80001")
    assert not other.shared_memory_prefix.startswith(one.shared_memory_prefix)
    assert not one.shared_memory_prefix.startswith(other.shared_memory_prefix)


def test_the_written_configuration_is_the_one_that_is_read(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_ENGINE__NAME", "mock")
    monkeypatch.setenv("TRITON_HTTP_PORT", "9123")
    config = load()
    folder.write_config(config)
    for name in ("HEADRACE_ENGINE__NAME", "TRITON_HTTP_PORT"):
        monkeypatch.delenv(name)
    again = load(folder.config_file)
    assert again == config
    assert (again.engine.name, again.server.http_port) == ("mock", 9123)
    assert stat.S_IMODE(folder.config_file.stat().st_mode) == 0o600


def test_the_running_stacks_settings_win_over_the_environment(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.read_section("server", ServerConfig) is None
    folder.write_config(Config(server={"drain_seconds": 300, "unready_seconds": 7}))
    monkeypatch.setenv("HEADRACE_SERVER__DRAIN_SECONDS", "1")
    found = folder.read_section("server", ServerConfig)
    assert found is not None
    assert (found.drain_seconds, found.unready_seconds) == (300, 7)
    folder.config_file.write_text("server: [", encoding="utf-8")
    assert folder.read_section("server", ServerConfig) is None


def test_status_is_read_as_it_was_written(folder: RunFolder) -> None:
    assert folder.read_status() is None
    status = Status(
        state="ready",
        pid=7,
        started_at=1.5,
        start_seconds=None,
        engine="mock",
        model="m",
        http="h",
        grpc="g",
        metrics="x",
        parts={},
    )
    folder.write_status(status)
    assert folder.read_status() == status
    folder.status_file.write_text('{"state": "rea', encoding="utf-8")
    assert folder.read_status() is None


def test_every_http_port_has_its_own_folder() -> None:
    one, other = (Config(server={"http_port": port}) for port in (9101, 9102))
    assert RunFolder.of(one).root != RunFolder.of(other).root
