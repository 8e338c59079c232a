"""What a benchmark writes: JSON lines, one for the machine and one for each measurement."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from headrace.errors import StartupError

RESULTS = Path(__file__).resolve().parent / "results" / "core.jsonl"
"""What the documents report: one whole run."""
GUARD_RESULTS = RESULTS.with_name("guard.jsonl")
GATEWAY_RESULTS = RESULTS.with_name("gateway.jsonl")
"""The same of the guards, and of the gateway."""
TRIAL = RESULTS.with_name("core-trial.jsonl")
"""A run that goes on, was interrupted, or is not whole."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, tag="machine", tag_field="kind"):
    """Where and of what a run was made. The first line of each run."""

    run: str
    """Names the run: its start in UTC, ISO 8601."""
    cpu: str
    cores: int
    memory_gb: float
    load_average: float
    """Of the last minute before the run: what else the machine did."""
    versions: dict[str, str]
    revision: str
    """Of git, with "+" when files were changed."""
    settings: dict[str, object]
    """The stack's configuration, and the benchmark's own."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True, tag="measurement", tag_field="kind"):
    """The values of one round."""

    run: str
    name: str
    subject: str
    """What was measured: `platform`, `bare`, a model's name."""
    round: int
    unit: str
    values: list[float]
    at: dict[str, float | str] = {}
    """The condition, such as {"concurrency": 8}."""


Record = Machine | Measurement
_decoder = msgspec.json.Decoder(Record)


class Recorder:
    """Writes to a file as measurements are made, so that an interrupted run leaves what it has. What was in the
    file is gone: it holds one run."""

    def __init__(self, file: Path, machine: Machine) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        self._file = file
        self._run = machine.run
        self._round = 0
        self._write(machine)

    def start_round(self, number: int) -> None:
        self._round = number

    def add(self, name: str, subject: str, unit: str, values: Iterable[float], **at: float | str) -> None:
        self._write(
            Measurement(
                run=self._run,
                name=name,
                subject=subject,
                round=self._round,
                unit=unit,
                values=list(values),
                at=at,
            )
        )

    def _write(self, record: Record) -> None:
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")


class Run:
    """All records of one run."""

    def __init__(self, machine: Machine, measurements: list[Measurement]) -> None:
        self.machine = machine
        self._measurements = measurements

    def rounds(self, name: str, subject: str, **at: float | str) -> dict[int, list[float]]:
        """Round → values; values of the same round and condition are joined."""
        found: dict[int, list[float]] = {}
        for entry in self._measurements:
            if (entry.name, entry.subject, entry.at) == (name, subject, at):
                found.setdefault(entry.round, []).extend(entry.values)
        return found

    def conditions(self, name: str, key: str) -> list[float | str]:
        """Every value of one condition, in the order of its first measurement."""
        return list(dict.fromkeys(m.at[key] for m in self._measurements if m.name == name and key in m.at))


def read_last_run(file: Path) -> Run:
    """Raises `StartupError` when the file holds no run."""
    machine: Machine | None = None
    measurements: list[Measurement] = []
    try:
        lines = file.read_bytes().splitlines()
        for line in lines:
            match _decoder.decode(line):
                case Machine() as machine:
                    measurements = []
                case Measurement() as measurement:
                    measurements.append(measurement)
    except (OSError, msgspec.MsgspecError) as error:
        raise StartupError(f"{file}: no benchmark results: {error}; run `make bench-core`") from None
    if machine is None:
        raise StartupError(f"{file}: holds no run; run `make bench-core`")
    return Run(machine, [entry for entry in measurements if entry.run == machine.run])
