"""`headrace guard check | eval | train`: the guards without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from headrace import cli_tables, logs, paths
from headrace.cli_errors import one_line_errors
from headrace.guard.policy import Direction

app = typer.Typer(help="Judge texts, measure the rails, train their heads.", no_args_is_help=True)
console = cli_tables.console()

PolicyOption = Annotated[Path, typer.Option("--policy", help="Instead of the project's policy.yaml.")]
# Each kind of processor has its own routines in OpenBLAS, and each number of threads another order of sums; the
# last bits of the weights would follow them. These routines run on all of them.
_SAME_EVERYWHERE = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1"}
_POLICY = paths.PROJECT / "policy.yaml"


class _Nobody:
    """Counts nothing."""

    def rail(self, *_: Any) -> None: ...

    def decision(self, *_: Any) -> None: ...


@app.command()
def check(
    text: str,
    policy_file: PolicyOption = _POLICY,
    name: Annotated[str | None, typer.Option("--name", help="Which of its policies; its default one.")] = None,
    answer: Annotated[bool, typer.Option("--answer", help="Judge it as an answer, not as a prompt.")] = False,
) -> None:
    """Judge one text; prints the verdict and what may be shown of it. Exit code 4 when it is blocked."""
    from headrace.guard import examine, policy, rails
    from headrace.guard.judge import Judge

    logs.configure("guard", least="warning")
    direction: Direction = "response" if answer else "prompt"
    with one_line_errors():
        file = policy.read(policy_file)
        judged = examine.whole(Judge(file, rails.build(file), _Nobody()), name, direction, text)
    shown = {"policy": judged.verdict.policy, "version": judged.verdict.version} | judged.verdict.summary()
    typer.echo(json.dumps(shown))
    if judged.verdict.action == "block":
        raise typer.Exit(4)
    typer.echo(judged.text)


@app.command(name="eval")
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False)],
    policy_file: PolicyOption = _POLICY,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Precision, recall, ROC-AUC, false positives and latency on labelled files, at the policy's thresholds.

    Columns of the CSV and JSONL files: text; label, 1 for what should be flagged; rail, which may be left out.
    Files of folders in it are read too.
    """
    from headrace.guard import evaluation, labelled, policy, rails

    logs.configure("guard", least="warning")
    table = Table(
        "file", "rail", "texts", "precision", "recall", "false positives", "ROC-AUC", "ms p50/p95", "texts/s"
    )
    with one_line_errors():
        files = labelled.read(folder)  # first of all: a mistake in the last one is told at once
        file = policy.read(policy_file)
        built, judged_by = rails.build(file), file.policies[file.default]
        for name, examples in files:
            for found in evaluation.evaluate(name, examples, built, judged_by):
                if as_json:
                    typer.echo(json.dumps(_as_json(found)))
                else:
                    table.add_row(*_cells(found))
    if not as_json:
        console.print(table)


@app.command()
def train(
    data: Annotated[list[Path], typer.Option("--data", help="Folder with the corpora; may be given again.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the weights, instead of the shipped ones.")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Also fit without the held-out texts, and write how well that does on them: JSON."),
    ] = None,
) -> None:
    """Make the shipped heads again, bit for bit; prints their hashes."""
    from headrace.guard import injection

    folders = [str(folder) for folder in (output or injection.WEIGHTS.parent, *data)]
    command = [sys.executable, "-W", "ignore", "-m", "headrace.guard.training", *folders]
    if held_out is not None:
        command += ["--held-out", str(held_out)]
    done = subprocess.run(command, env=os.environ | _SAME_EVERYWHERE, capture_output=True, text=True, check=False)
    typer.echo(done.stdout, nl=False)
    typer.echo(done.stderr, nl=False, err=True)
    raise typer.Exit(done.returncode)


def _cells(found: Any) -> list[str]:
    auc = "-" if found.auc is None else "{:.3f} ({:.3f}-{:.3f})".format(*found.auc)
    shares = [found.precision, found.recall, found.false_positives]
    milliseconds = "{:.1f} / {:.1f}".format(*found.milliseconds)
    texts = str(found.recall.of + found.false_positives.of)
    return [found.file, found.rail, texts, *map(_share, shares), auc, milliseconds, f"{found.per_second:.0f}"]


def _share(share: Any) -> str:
    return "-" if not share.of else "{:.3f} ({:.3f}-{:.3f})".format(share.value, *share.interval)


def _as_json(found: Any) -> dict[str, Any]:
    shown = asdict(found)
    for name in ("precision", "recall", "false_positives"):
        share = getattr(found, name)
        shown[name] = None if not share.of else {"value": share.value, "interval": share.interval, "of": share.of}
    return shown
