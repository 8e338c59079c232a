"""Lines and records by themselves."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from headrace.audit import chain
from headrace.audit.chain import START, Flaw
from headrace.audit.config import AuditConfig
from headrace.audit.record import encode, timestamp
from tests.audit.logs import KEY, record


def test_a_line_is_json_with_the_hash_of_what_stands_before_it() -> None:
    line, position = chain.line("request", encode(record(5)), START, KEY)
    said = json.loads(line)
    content = line[: line.rindex(b',"hash"')]
    assert said["hash"] == hmac.new(KEY, content, hashlib.sha256).hexdigest() == position.hash
    assert (said["schema"], said["kind"], said["sequence"], said["prev"]) == (1, "request", 1, START.hash)
    assert said["cost"] == 5_000_015
    assert list(said)[:5] == ["schema", "kind", "sequence", "time", "request_id"]
    assert list(said)[-2:] == ["prev", "hash"]
    assert line.count(b"\n") == 1


def test_without_a_key_it_is_a_plain_sha256() -> None:
    line, position = chain.line("request", encode(record(5)), START, None)
    assert position.hash == hashlib.sha256(line[: line.rindex(b',"hash"')]).hexdigest()
    assert chain.read(line, None).position == position


def test_a_line_follows_the_one_before() -> None:
    _, first = chain.line("request", encode(record(1)), START, KEY)
    second, _ = chain.line("request", encode(record(2)), first, KEY)
    link = chain.read(second, KEY)
    assert (link.sequence, link.prev) == (2, first.hash)


@pytest.mark.parametrize("key", [None, b"", b"another"])
def test_another_key_does_not_fit(key: bytes | None) -> None:
    line, _ = chain.line("request", encode(record(1)), START, KEY)
    with pytest.raises(Flaw) as caught:
        chain.read(line, key)
    assert caught.value.kind == "changed"


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"[1]\n", b"\xff\n", b'{"hash":"' + b"0" * 64 + b'"}\n'])
def test_what_is_no_line_is_told_apart_from_one_that_changed(line: bytes) -> None:
    with pytest.raises(Flaw) as caught:
        chain.read(line, KEY)
    assert caught.value.kind == "bad"


def test_texts_stand_in_a_line_only_when_they_are_given() -> None:
    assert not {"prompt", "answer"} & set(json.loads(b"{%b}" % encode(record(1))))
    said = json.loads(b"{%b}" % encode(record(1, prompt="Hi\n\u2028", answer="")))
    assert (said["prompt"], said["answer"]) == ("Hi\n\u2028", "")


def test_a_lone_surrogate_does_not_keep_a_request_out_of_the_log() -> None:
    said = json.loads(b"{%b}" % encode(record(1, model="a\ud800", guard={"b\udfff": ["c\ud800"]})))
    assert (said["model"], said["guard"]) == ("a?", {"b?": ["c?"]})
    assert said["tenant"] == "tenant-1"


def test_times_are_utc_with_microseconds_and_sort_as_text() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert timestamp(noon) == "2026-03-01T12:00:00.000000Z"
    assert timestamp(noon.astimezone(timezone(timedelta(hours=5)))) == timestamp(noon)
    assert timestamp(noon) < timestamp(noon + timedelta(microseconds=1)) < timestamp(noon + timedelta(seconds=1))
    with pytest.raises(ValueError, match="no time zone"):
        timestamp(datetime(2026, 3, 1))  # noqa: DTZ001


def test_the_key_comes_from_the_named_variable() -> None:
    environment = {"HEADRACE_AUDIT_KEY": "one", "OTHER": "two", "EMPTY": ""}
    assert AuditConfig().key(environment) == b"one"
    assert AuditConfig(key_env="OTHER").key(environment) == b"two"
    assert AuditConfig(key_env="EMPTY").key(environment) is None
    assert AuditConfig(key_env="NONE").key(environment) is None
