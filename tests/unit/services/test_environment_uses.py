"""What uses an environment: jobs and instances, also by environments made from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import People
from tests.unit.services.instance_house import House

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import ProjectRow
from nacre.domain.identity import ProjectRef
from nacre.errors import NotFound
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.testing.jobs import JobsWorld


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


@pytest.fixture
def house(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> House:
    return House(database, clock, people, tmp_path)


def test_jobs_come_latest_first_and_are_counted(world: JobsWorld, people: People) -> None:
    first, second, third = (
        world.submit(people.editor, environment=name) for name in ("base", "sklearn", "base")
    )
    found = world.environments.uses(people.viewer, "base")
    assert [one.name for one in found.jobs] == [third.name, first.name]
    assert (found.job_count, found.instance_count, found.instances) == (2, 0, [])
    assert found.jobs[0].user == people.editor.user_name
    assert found.jobs[0].state == "queued"
    assert [one.name for one in world.environments.uses(people.viewer, "sklearn").jobs] == [second.name]
    few = world.environments.uses(people.viewer, "base", limit=1)
    assert [one.name for one in few.jobs] == [third.name]
    assert few.job_count == 2


def test_instances_are_there_before_their_first_start_and_after(house: House) -> None:
    house.create("off", environment="pytorch", start=False)
    house.create("on", environment="pytorch")
    house.create("other", environment="base")
    found = house.environments.uses(house.people.viewer, "pytorch")
    assert [(one.name, one.state) for one in found.instances] == [("on", "queued"), ("off", "stopped")]
    assert found.instance_count == 2


def test_other_projects_are_not_told(world: JobsWorld, people: People) -> None:
    world.submit(people.editor, environment="base")
    with world.db.write() as session:
        row = ProjectRow(
            id=(other := new_id("prj")),
            number=2,
            name="other",
            description="",
            created_at=world.clock.now(),
        )
        session.add(row)
    elsewhere = replace(people.editor, project=ProjectRef(other, "other", Role.EDITOR))
    found = world.environments.uses(elsewhere, "base")
    assert (found.jobs, found.job_count) == ([], 0)


def test_one_that_is_not_there_is_named(world: JobsWorld, people: People) -> None:
    with pytest.raises(NotFound, match="no environment absurd"):
        world.environments.uses(people.viewer, "absurd")
