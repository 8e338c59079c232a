"""A whole stack with its gateway, and tenants to ask as."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.audit.query import Filter, query
from headrace.audit.record import AuditLine
from headrace.tenants import change
from tests.stack import Stack

TENANTS: dict[str, dict[str, Any]] = {
    "acme": {"tokens_per_minute": 1_000_000},
    "beta": {"guard_policy": "off"},
    "poor": {"budgets": [{"amount": "0.00001", "period": "month"}]},
    "slow": {"requests_per_minute": 2},
    "single": {"requests_per_minute": 1, "tokens_per_minute": 100_000},
    "narrow": {"concurrent_requests": 1},
    "short": {"max_output_tokens": 5},
    "other": {"models": ["something-else"]},
}


class GatewayStack(Stack):
    def __init__(self, tenants: Path, **settings: str) -> None:
        tenants.write_text("anonymous: {priority: 4}\ntenants: {}\n", encoding="utf-8")
        now = datetime.now(UTC)
        self.keys = {name: change.add_tenant(tenants, name, about, now, None) for name, about in TENANTS.items()}
        self.tenants = tenants
        ours = {
            "HEADRACE_GATEWAY__ENABLED": "true",
            "HEADRACE_GATEWAY__TENANTS": str(tenants),
            "HEADRACE_GATEWAY__UNREADY_SECONDS": "0",
            "HEADRACE_GATEWAY__READ_SECONDS": "2",
            "HEADRACE_GATEWAY__WRITE_SECONDS": "3",
            "HEADRACE_GATEWAY__MAX_BODY_BYTES": "1000000",
        }
        super().__init__(**ours | settings)
        self.url = f"http://127.0.0.1:{self.gateway_port}"
        self.grpc = f"127.0.0.1:{self.gateway_grpc_port}"

    @property
    def audit_folder(self) -> Path:
        return self.folder.root / "audit"

    def records(self, request_id: str) -> list[AuditLine]:
        return list(query(self.audit_folder, Filter(request_id=request_id)))


def body(**wishes: Any) -> bytes:
    """Of a chat completion."""
    usual = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
    return json.dumps(usual | wishes).encode()
