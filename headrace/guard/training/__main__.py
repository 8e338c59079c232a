"""`python -m headrace.guard.training`: what `headrace guard train` runs in a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.guard.training import held_out
from headrace.guard.training.corpora import Corpora
from headrace.guard.training.train import train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="headrace.guard.training", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--held-out", type=Path)
    options = parser.parse_args()
    corpora = Corpora(options.data)
    try:
        heads = train(corpora, options.output)
        if options.held_out is not None:
            held_out.write(held_out.measure(corpora), options.held_out)
    except HeadraceError as error:
        sys.exit(f"error: {error}")
    for name, head in heads.items():
        print(f"{name}  {head.sha256}")
