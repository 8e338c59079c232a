from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tenants import key_server
from tests.tenants.key_server import KeyServer


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server.running() as running:
        yield running
