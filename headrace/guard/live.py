"""The policy in force: read anew when its file changes, and kept when the new one is bad."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from headrace.errors import HeadraceError
from headrace.file_stamp import stamp
from headrace.guard import policy, rails
from headrace.guard.judge import Judge, Observer
from headrace.guard.policy import PolicyFile

log = structlog.get_logger()


class LivePolicy:
    """`judge` is looked at before every batch. When only the policies changed, the rails that run go on, and the
    change holds for the next request. New rails are built on the side, since some take seconds; until they are
    there, the old policy judges.
    """

    def __init__(self, file: Path, observer: Observer) -> None:
        """Raises `StartupError` and its children: nothing serves without a policy."""
        self._file = file
        self._observer = observer
        self._stamp = stamp(file)
        self._said = policy.read(file)
        self._judge = Judge(self._said, rails.build(self._said), observer)
        self._building: threading.Thread | None = None
        self._built: tuple[PolicyFile, Judge] | None = None

    def judge(self) -> Judge:
        """What judges now. Called from one thread, which is done with the last one."""
        if self._building is not None:
            if self._building.is_alive():
                return self._judge
            # What was built comes first: the file may have changed again since.
            self._building = None
            if self._built is not None:
                self._judge.close()
                self._take(*self._built)
                self._built = None
        if (found := stamp(self._file)) != self._stamp:
            self._stamp = found
            self._reload()
        return self._judge

    def _reload(self) -> None:
        try:
            said = policy.read(self._file)
            if said.rails == self._said.rails and set(said.categories) <= set(self._said.categories):
                self._take(said, self._judge.under(said))
                return
        except HeadraceError as error:
            _keep_old(error)
            return
        self._building = threading.Thread(target=self._build, args=(said,), name="rails", daemon=True)
        self._building.start()

    def _build(self, said: PolicyFile) -> None:
        try:
            self._built = said, Judge(said, rails.build(said), self._observer)
        except HeadraceError as error:
            _keep_old(error)
        except Exception:
            log.exception("the new rails were not built; the old policy goes on")

    def _take(self, said: PolicyFile, judge: Judge) -> None:
        self._said, self._judge = said, judge
        versions = {name: one.version for name, one in said.policies.items()}
        log.info("policy read", file=str(self._file), versions=versions)

    def close(self) -> None:
        self._judge.close()


def _keep_old(error: HeadraceError) -> None:
    log.error("the new policy is bad; the old one goes on", problem=str(error))
