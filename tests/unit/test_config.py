"""The configuration file: typed, overridable, and clear about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import config, paths
from headrace.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*config.PORT_ENVS.values(), config.CONFIG_FILE_ENV):
        monkeypatch.delenv(name, raising=False)


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "headrace.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = config.load(file(tmp_path, ""))
    assert (settings.engine.name, settings.server.http_port, settings.profile) == ("openvino", 8000, "cpu")


def test_the_shipped_files_are_valid() -> None:
    assert config.load(paths.PROJECT / "headrace.yaml").engine.name == "openvino"
    assert config.load(paths.PROJECT / "profiles" / "h100.yaml").engine.name == "trtllm"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engin: {}", "engin: Extra inputs are not permitted"),
        ("engine: {nam: mock}", "engine.nam: Extra"),
        ("engine: {name: vllm}", "engine.name"),
        ("engine: {max_running: 0}", "engine.max_running"),
        ("server: {http_port: 70000}", "server.http_port"),
        ("server: {http_port: 9, grpc_port: 9}", "server: .*must differ"),
        ("server: 3", "server"),
        ("[1, 2]", "expected a mapping"),
        ("a: [", "cannot be read as YAML"),
        ("1: 2", "expected a mapping"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as refusal:
        config.load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "absent.yaml")


def test_environment_variables_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_ENGINE__NAME", "mock")
    monkeypatch.setenv("TRITON_HTTP_PORT", "9100")
    settings = config.load(file(tmp_path, "engine: {name: openvino, max_running: 3}\nserver: {http_port: 9000}"))
    assert (settings.engine.name, settings.engine.max_running, settings.server.http_port) == ("mock", 3, 9100)


def test_a_bad_port_in_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_GRPC_PORT", "many")
    with pytest.raises(ConfigError, match=r"server\.grpc_port"):
        config.load(file(tmp_path, ""))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("HEADRACE_PROFIL", "did you mean HEADRACE_PROFILE"),
        ("HEADRACE_ENGIN__NAME", "did you mean HEADRACE_ENGINE__NAME"),
        ("HEADRACE_ENGINE__MOK__STEP_MS", "did you mean HEADRACE_ENGINE__MOCK__STEP_MS"),
        ("HEADRACE_ENGINE__NAME__X", "did you mean HEADRACE_ENGINE__NAME"),
        ("HEADRACE_ENGINE_NAME", "did you mean HEADRACE_ENGINE__NAME"),
        ("HEADRACE_HTTP_PORT", "did you mean HEADRACE_SERVER__HTTP_PORT"),
        ("HEADRACE_CONFIGURE", "did you mean HEADRACE_CONFIG"),
        ("headrace_profil", "did you mean HEADRACE_PROFILE"),
        ("HEADRACE_QUUX", "see headrace/config.py"),
    ],
)
def test_an_override_of_no_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setenv(name, "8000")
    with pytest.raises(ConfigError, match=rf"^\${name}: sets no key of the configuration; {says}"):
        config.load(file(tmp_path, ""))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_HOME", "/somewhere"),
        ("HEADRACE_SOCKET", "/engine.sock"),
        ("HEADRACE_PROFILE", "cpu"),
        ("headrace_profile", "cpu"),
        ("HEADRACE_SERVER", '{"http_port": 9000}'),
        ("HEADRACE_ENGINE__TRTLLM__TRTLLM__MAX_SEQ_LEN", "8192"),
        # Kubernetes' names for services `headrace` and `headrace-gateway`
        ("HEADRACE_SERVICE_HOST", "10.0.0.1"),
        ("HEADRACE_GATEWAY_SERVICE_PORT_HTTP", "8080"),
        ("HEADRACE_PORT", "tcp://10.0.0.1:8000"),
        ("HEADRACE_PORT_8000_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_other_names_are_let_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    config.load(file(tmp_path, ""))


def test_every_name_that_is_let_through_as_a_key_sets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_ENGINE__TRTLLM__TRTLLM__MAX_SEQ_LEN", "8192")
    monkeypatch.setenv("headrace_engine__mock__step_ms", "7")
    engine = config.load(file(tmp_path, "")).engine
    assert (engine.trtllm.trtllm, engine.mock.step_ms) == ({"max_seq_len": "8192"}, 7.0)


def test_an_error_blames_the_variable_that_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headrace.yaml").write_text("engine:\n  name: mock\n", encoding="utf-8")
    monkeypatch.setenv("HEADRACE_ENGINE__NAME", "moch")
    with pytest.raises(ConfigError, match=r"\$HEADRACE_ENGINE__NAME: engine\.name: "):
        config.load(tmp_path / "headrace.yaml")
