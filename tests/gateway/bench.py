"""A gateway without its servers, before a server that does as Triton does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from headrace.admission import Admission, AdmissionConfig
from headrace.audit.config import AuditConfig
from headrace.audit.query import Filter, query
from headrace.audit.record import AuditLine
from headrace.audit.writer import AuditLog
from headrace.client import Client, Question
from headrace.config import Config
from headrace.cost.prices import Price
from headrace.gateway.ask import Ask, CacheWish, Call
from headrace.gateway.cache.answers import Answers
from headrace.gateway.cache.store import AnswerCache
from headrace.gateway.choice import Choices
from headrace.gateway.circuit import Circuit
from headrace.gateway.entry import Entry
from headrace.gateway.exchange import Exchanges
from headrace.gateway.ledger import Ledger
from headrace.gateway.policies import LivePolicies
from headrace.gateway.rules import Rules
from headrace.gateway.tenure import Tenure
from headrace.gateway.trace import Trace
from headrace.gateway.upstream import Upstream
from headrace.limits.budget import Budget
from headrace.limits.memory import MemoryStore
from headrace.tenants.identity import Authenticator, Identity
from headrace.tenants.live import LiveTenants
from headrace.tenants.settings import Settings
from tests.fake_triton import FakeTriton, serving

PRICE = Price(prompt=20, completion=80)
POLICY = "default: usual\npolicies:\n  usual: {}\n  strict: {stream: windowed}\n"
ACME = Settings(
    "acme", "Acme", tokens_per_minute=1000, budgets=(Budget(10**9, "month"),), cache_scope="tenant:acme"
)


@dataclass
class Bench:
    """A gateway without its servers."""

    exchanges: Exchanges
    admission: Admission
    cache: AnswerCache
    circuit: Circuit
    limits: MemoryStore
    ledger: Ledger
    triton: FakeTriton
    audit_folder: Path
    policy: Path
    tenants: LiveTenants
    tenants_file: Path
    seen: list[Entry] = field(default_factory=list)

    async def read(self, ask: Ask, settings: Settings = ACME) -> str:
        async with (
            self.exchanges.open(CALL, lambda: who(settings), lambda: what(ask)) as exchange,
            aclosing(exchange.pieces()) as pieces,
        ):
            return "".join([piece.chunk.text async for piece in pieces])

    async def spent(self) -> int:
        return await self.limits.spent("acme", "month")

    async def records(self) -> list[AuditLine]:
        await self.ledger.drained()
        return list(query(self.audit_folder, Filter()))


CALL = Call("openai", "chat.completions", "an-id", Trace("0" * 31 + "1", "0" * 15 + "2"))


async def who(settings: Settings) -> Identity:
    return Identity(settings.tenant, "key-1", settings, "token")


async def what(ask: Ask) -> Ask:
    return ask


def ask(text: str = "Hi", **wishes: object) -> Ask:
    choices, stream = int(str(wishes.pop("choices", 1))), bool(wishes.pop("stream", True))
    deadline, cache = wishes.pop("deadline", None), wishes.pop("cache", CacheWish())
    question = Question(text_input=text, **({"max_tokens": 20} | wishes))  # type: ignore[arg-type]
    return Ask(
        question=question,
        model="assistant",
        stream=stream,
        choices=choices,
        deadline=deadline,  # type: ignore[arg-type]
        cache=cache,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[Bench]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    async with AsyncExitStack() as parts:
        triton, ticks = FakeTriton(), count()
        address = await parts.enter_async_context(serving(triton))
        client = await parts.enter_async_context(Client(address))
        # So that a request's record is there when the request has ended.
        audit = await AuditLog.open(AuditConfig(fsync="always"), tmp_path / "audit", None)
        parts.push_async_callback(audit.close)
        limits = MemoryStore(60.0)
        seen: list[Entry] = []
        ledger = Ledger(limits, audit, PRICE, "USD", "v1", b"key", 60.0, False, seen.append)
        admission, circuit, cache = Admission(AdmissionConfig()), Circuit(), AnswerCache(10**6, 60.0)
        choices = Choices(Upstream(client, admission, circuit), Answers(cache))
        live = LivePolicies(policy, lambda: float(next(ticks)))
        triton.version = live.current().versions["usual"]
        tenants_file = tmp_path / "tenants.yaml"
        tenants_file.write_text("tenants: {acme: {}}")
        tenants = LiveTenants(tenants_file)
        tenure = partial(Tenure, Authenticator(tenants), limits)
        exchanges = Exchanges(Rules(Config(), live), ledger, choices, tenure, "v1", 20.0)
        yield Bench(
            exchanges,
            admission,
            cache,
            circuit,
            limits,
            ledger,
            triton,
            tmp_path / "audit",
            policy,
            tenants,
            tenants_file,
            seen,
        )
        await ledger.drained()
