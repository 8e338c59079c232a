"""Trace context as the W3C has it."""

from __future__ import annotations

import re

import pytest

from headrace.gateway import trace

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_caller_s_trace_goes_on_with_a_span_of_our_own() -> None:
    found = trace.of(f"00-{TRACE}-{PARENT}-01")
    assert (found.trace_id, found.parent_id, found.flags) == (TRACE, PARENT, "01")
    assert found.span_id != PARENT
    assert trace.of(found.header).parent_id == found.span_id


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01\r\nx: y",
        "x" * 100_000,
    ],
)
def test_without_one_that_can_be_read_a_trace_begins_here(header: str | None) -> None:
    found = trace.of(header)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", found.header)
    assert found.trace_id != TRACE
    assert trace.of(header).trace_id != found.trace_id


@pytest.mark.parametrize(
    "state", ["a=1", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "0t@sys=a b", "a=1, b_*/-=~!"]
)
def test_the_state_of_a_trace_goes_on(state: str) -> None:
    assert trace.of(f"00-{TRACE}-{PARENT}-01", state).state == state.replace(" b_", "b_")


@pytest.mark.parametrize(
    "state", ["", " ", ",", "a", "=1", "A=1", "a=", "a=1=2", "a=é", "a=1\r\nx: y", "a=1,b", f"a={'x' * 511}"]
)
def test_a_state_that_is_none_does_not_go_on(state: str) -> None:
    assert trace.of(f"00-{TRACE}-{PARENT}-01", state).state == ""


def test_a_state_without_its_trace_does_not_go_on() -> None:
    assert trace.of(None, "a=1").state == ""


def test_of_a_later_version_the_known_parts_count() -> None:
    found = trace.of(f"01-{TRACE}-{PARENT}-03-what-comes-later")
    assert (found.trace_id, found.flags) == (TRACE, "01")
