"""What can go wrong with an audit log."""

from __future__ import annotations

from headrace.errors import HeadraceError, Unavailable


class AuditUnavailable(Unavailable):
    """A record could not be written, and is not in the log. The log goes on when the disk does."""

    public = "requests cannot be recorded now, so none is served; send it again later"


class AuditDamaged(HeadraceError):
    """A line of the log cannot be read. `headrace audit verify` says what is wrong with it."""
