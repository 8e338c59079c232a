"""What locust runs: `make locust`, or `locust --locustfile perf/locust/locustfile.py --host http://HOST:PORT`."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from perf.locust import burst
from perf.locust.users import Leaver, Repeater, Talker
from perf.locust.verdict import Figures, Limits, problems

__all__ = ["Burst", "Leaver", "Repeater", "Talker"]
_ENDS = frozenset({"E2E", "CACHED", "BLOCKED", "LEFT"})
"""The kinds that end a request which was let in."""
log = logging.getLogger(__name__)


class Burst(LoadTestShape):
    """Takes locust's `--users` and `--run-time`, and our `--burst`."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        options = self.runner.environment.parsed_options if self.runner else None
        if options is None:
            return None
        part = (time.perf_counter() - self.start_time) / (options.run_time or burst.SECONDS)
        users = burst.users_at(part, options.num_users or burst.USERS, options.burst)
        return None if users is None else (users, users)  # all within a second


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _options(parser: Any) -> None:
    own = parser.add_argument_group("Headrace")
    own.add_argument("--keys", type=Path, env_var="LOCUST_KEYS", help="YAML file of tenants, NAME: KEY")
    own.add_argument("--think-seconds", type=float, default=5.0, help="median pause of a user (5)")
    own.add_argument("--burst", type=float, default=3.0, help="times as many users in the middle (3)")
    own.add_argument("--max-error-ratio", type=float, default=0.01, help="more of them fail the run (0.01)")
    own.add_argument("--max-ttft-ms", type=float, default=400.0, help="a later P95 fails the run (400)")


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _judge(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    if options is None or environment.runner is None:
        return
    limits = Limits(options.max_error_ratio, options.max_ttft_ms)
    found = problems(_figures(environment.stats), limits)
    found += [f"a defect of the locustfile: {error['msg']}" for error in environment.runner.exceptions.values()]
    for problem in found:
        log.error("%s", problem)
    environment.process_exit_code = 1 if found else 0


def _figures(stats: RequestStats) -> Figures:
    ended = [entry for (_, kind), entry in stats.entries.items() if kind in _ENDS]
    ttft = StatsEntry(stats, "all", "TTFT")
    for (_, kind), entry in stats.entries.items():
        if kind == "TTFT":
            ttft.extend(entry)
    errors = sorted(stats.errors.values(), key=lambda error: error.occurrences)
    return Figures(
        sum(entry.num_requests for entry in ended),
        sum(entry.num_failures for entry in ended),
        ttft.get_response_time_percentile(0.95) if ttft.num_requests else None,
        str(errors[-1].error) if errors else "",
    )
