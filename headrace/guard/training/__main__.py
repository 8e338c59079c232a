"""`python -m headrace.guard.training OUTPUT DATA…`: what `headrace guard train` runs in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.guard.training.corpora import Corpora
from headrace.guard.training.train import train

if __name__ == "__main__":
    output, *data = map(Path, sys.argv[1:])
    try:
        heads = train(Corpora(data), output)
    except HeadraceError as error:
        sys.exit(f"error: {error}")
    for name, head in heads.items():
        print(f"{name}  {head.sha256}")
