"""When a replica counts as stuck and as hung: times are passed in, nothing waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.modelserver.liveness import IDLE_HUNG_S, IDLE_STUCK_S, LOOK_S, Health, Liveness, grace_s

WELL, STUCK, HUNG = Health.WELL, Health.STUCK, Health.HUNG


def looks(liveness: Liveness, upto: float, busy: bool, timeout_s: float = 60.0) -> dict[float, Health]:
    """What it is at each look, from 0 on."""
    return {
        step * LOOK_S: liveness.look(step * LOOK_S, busy, timeout_s)
        for step in range(1, int(upto / LOOK_S) + 1)
    }


def first(found: dict[float, Health], health: Health) -> float:
    return min(at for at, one in found.items() if one is health)


@pytest.mark.parametrize(("timeout_s", "hung_s"), [(60.0, 90.0), (600.0, 630.0), (1.0, 6.0), (30.0, 45.0)])
def test_work_without_an_answer(timeout_s: float, hung_s: float) -> None:
    assert timeout_s + grace_s(timeout_s) == hung_s
    found = looks(Liveness(0.0), hung_s + 10, busy=True, timeout_s=timeout_s)
    assert timeout_s < first(found, STUCK) <= timeout_s + LOOK_S
    assert hung_s < first(found, HUNG) <= hung_s + LOOK_S


@given(
    st.lists(st.floats(0.1, 59.9), min_size=1, max_size=20), st.booleans(), st.sampled_from([60.0, 100.0])
)
def test_who_answers_within_the_timeout_is_well(gaps: list[float], pongs: bool, timeout_s: float) -> None:
    liveness, now, look = Liveness(0.0), 0.0, LOOK_S
    for steps, gap in enumerate(gaps):
        while look < now + gap:
            assert liveness.look(look, True, timeout_s) is WELL
            liveness.asked = True  # the interpreter is busy: no pong
            look += LOOK_S
        now += gap
        if pongs:
            liveness.pong(now, steps, True)  # the model of another worker's batch
        else:
            liveness.progress(now)


def test_a_pong_tells_of_progress_only_when_there_is_any() -> None:
    liveness = Liveness(0.0)
    found = {}
    for step in range(1, 60):
        now = step * LOOK_S
        found[now] = liveness.look(now, True, 60.0)
        liveness.pong(now, 7, True)  # an endless loop lets others run now and then
    assert first(found, HUNG) <= LOOK_S + 90 + LOOK_S
    liveness.pong(200.0, 7, False)  # it has nothing to do, a stream's reader does not read
    assert liveness.look(200.0, True, 60.0) is WELL


def test_without_work_a_ping_has_to_be_answered() -> None:
    liveness = Liveness(0.0)
    assert set(looks(liveness, 500, busy=False).values()) == {WELL}  # it knows no ping
    liveness = Liveness(0.0)
    liveness.asked = True
    found = looks(liveness, 50, busy=False)
    assert IDLE_STUCK_S < first(found, STUCK) <= IDLE_STUCK_S + LOOK_S
    assert IDLE_HUNG_S < first(found, HUNG) <= IDLE_HUNG_S + LOOK_S
    liveness.pong(51.0, 0, False)
    assert liveness.look(51.0, False, 60.0) is WELL


def test_work_begins_to_count_when_it_comes() -> None:
    liveness = Liveness(0.0)
    looks(liveness, 1000, busy=False)
    liveness.begin(1000.0)
    assert liveness.look(1002.0, True, 60.0) is WELL
    liveness.asked = True
    liveness.begin(1030.0)  # but not for one that does not answer a ping anyhow
    assert liveness.silent_s(1030.0) == 30


def test_time_in_which_nobody_looked_does_not_count() -> None:
    liveness = Liveness(0.0)
    assert liveness.look(LOOK_S, True, 60.0) is WELL
    assert liveness.look(4000.0, True, 60.0) is WELL  # this process was stopped
    assert liveness.look(4000.0 + LOOK_S, True, 60.0) is WELL
