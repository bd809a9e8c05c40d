"""Jobs by what people call them."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.jobs import JobRow
from nacre.errors import NotFound


def find_job(session: Session, project_id: str, job: str) -> JobRow:
    """The row of a job by name, id or its run's id.

    Raises:
        NotFound: there is none in this project.
    """
    either = or_(JobRow.id == job, JobRow.name == job, JobRow.run_id == job)
    rows = session.scalars(select(JobRow).where(JobRow.project_id == project_id, either)).all()
    if not rows:
        raise NotFound(f"there is no job {job!r} in this project: see 'nacre ps -a'", job=job)
    return max(rows, key=lambda row: row.id == job)
