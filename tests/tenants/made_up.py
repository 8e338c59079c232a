"""Keys and files that tests make up."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.tenants import keys

KEY_IDS = ("aaaa1111", "bbbb2222", "cccc3333")
SECRET = "s" * 43
KEYS = {key_id: f"hr_{key_id}_{SECRET}" for key_id in KEY_IDS}
CREATED = "2026-01-01T00:00:00Z"


def hash_of(key_id: str) -> str:
    return keys.sha256(KEYS[key_id]).hex()


GOOD = f"""\
anonymous:
  requests_per_minute: 30
issuers:
  - issuer: https://login.example.com/
    audience: headrace
    jwks: keys.json
tenants:
  acme:
    display_name: Acme
    requests_per_minute: 60
    tokens_per_minute: 100000
    concurrent_requests: 8
    budgets: [{{amount: "12.50", period: month}}]
    models: [assistant]
    keys:
      - {{id: aaaa1111, sha256: {hash_of("aaaa1111")}, created: {CREATED}}}
  beta:
    cache_scope: friends
    keys:
      - {{id: bbbb2222, sha256: {hash_of("bbbb2222")}, created: {CREATED}, expires: 2026-06-01T12:00:00Z}}
"""


def written(folder: Path, text: str = GOOD) -> Path:
    """As an editor does it: whole, at once."""
    file, draft = folder / "tenants.yaml", folder / "draft"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)  # noqa: PTH105
    return file
