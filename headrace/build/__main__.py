"""`python -m headrace.build [GROUP] [--deep]`: fetch what is missing and build the model, once."""

from __future__ import annotations

import argparse
import sys

from headrace import paths
from headrace.build import model, parts
from headrace.build.atomic import exclusive, remove_leftovers
from headrace.build.progress import Progress
from headrace.errors import HeadraceError

SERVE = "serve"


def main() -> int:
    arguments = _arguments()
    progress = Progress()
    lock = paths.home() / "build.lock"
    try:
        with exclusive(lock, lambda: progress.say("another set-up is at work; waiting")):
            set_up(arguments.groups, arguments.deep, progress)
    except HeadraceError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or paths.home()}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _fail("interrupted; `make setup` goes on where it can", 130)
    return 0


def set_up(groups: list[str], deep: bool, progress: Progress) -> None:
    """Bring every part of the groups and, with `serve`, the default model. What is ready is left alone."""
    for folder in (paths.parts(), paths.default_model().parent):
        remove_leftovers(folder)
    wanted = [part for part in parts.pinned().values() if part.group in {SERVE, *groups}]
    for part in wanted:
        if not part.ready(deep):
            parts.fetch(part, progress)
    recipe, folder = model.default_recipe(), paths.default_model()
    if not model.ready(recipe, folder, deep):
        model.build(recipe, folder, progress)


def _arguments() -> argparse.Namespace:
    groups = sorted({part.group for part in parts.pinned().values()} - {SERVE})
    parser = argparse.ArgumentParser(prog="python -m headrace.build", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"parts to add: {', '.join(groups)}")
    parser.add_argument("--deep", action="store_true", help="compare every byte of what is there")
    arguments = parser.parse_args()
    for group in arguments.groups:
        if group not in groups:
            parser.error(f"no group {group}; there are {', '.join(groups)}")
    return arguments


def _fail(message: str, status: int = 1) -> int:
    print(f"headrace: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
