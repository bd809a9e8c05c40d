"""Which runs the token of a job may write to, remembered for calls that come a thousand times a second."""

from __future__ import annotations

from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.services.artifacts import check_own_run, of_job
from nacre.services.brief import Brief

_SECONDS = 60.0


class OwnRuns:
    """A job's own run and those that it made stay its own, so that what passed once passes again."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: Brief[tuple[str, str], bool] = Brief(_SECONDS)

    def known(self, caller: Caller, run_id: str) -> bool:
        """Whether :meth:`check` will pass without a look at the database."""
        return not of_job(caller) or self._known.has((caller.attempt_id or "", run_id))

    def check(self, caller: Caller, run_id: str) -> None:
        """Raise PermissionDenied when a job's token would write to another's run."""
        if of_job(caller):
            self._known.get((caller.attempt_id or "", run_id), lambda: self._look(caller, run_id))

    def _look(self, caller: Caller, run_id: str) -> bool:
        with self._db.read() as session:
            check_own_run(session, caller, run_id)
        return True
