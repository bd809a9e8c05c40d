"""What must hold of every plan, whatever is asked: tried on cases that hypothesis makes up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.domain.scheduling import (
    Aside,
    Demand,
    Holding,
    Lane,
    Machine,
    Plan,
    Policy,
    Quota,
    Shape,
    never_fits,
    plan,
)
from nacre.domain.scheduling.simulation import Simulation

GIB = 2**30
PROJECTS = ("p", "q", "r")
NOW = 10_000.0

machines = st.lists(
    st.tuples(
        st.sampled_from([2, 4, 8, 16]), st.integers(4, 24), st.sampled_from([(), ("A",), ("A", "B", "B")])
    ),
    min_size=1,
    max_size=5,
).map(lambda rows: [Machine(f"m{i}", float(c), g * GIB, names) for i, (c, g, names) in enumerate(rows)])

asides = st.lists(
    st.builds(
        Aside, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0, GIB]), st.sampled_from([0.0, 1.0])
    ),
    min_size=5,
    max_size=5,
)


def set_aside(nodes: list[Machine], kept: list[Aside]) -> list[Machine]:
    return [
        replace(node, aside=one._replace(gpu=min(one.gpu, len(node.gpus))))
        for node, one in zip(nodes, kept, strict=False)
    ]


shapes = st.builds(
    Shape,
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0]),
    st.integers(1, 4).map(lambda g: g * GIB // 2),
    st.sampled_from([0, 0, 0, 0, 0, 0.25, 0.5, 1, 2]),
    st.sampled_from([None, None, "a", "B"]),
).map(lambda s: s if s.gpu else s._replace(gpu_name=None))

lanes = st.builds(
    lambda shape, few, more, limit, kind: Lane(
        shape,
        few,
        few
        if kind == "interactive"
        else few + more,  # its own jobs may not keep it from growing: it does not
        limit,
        spot=kind == "spot",
        interactive=kind == "interactive",
    ),
    shapes,
    st.sampled_from([1, 1, 1, 2, 3, 5]),
    st.sampled_from([0, 0, 3]),
    st.sampled_from([None, 10.0, 100.0, 1000.0]),
    st.sampled_from(["job", "job", "spot", "interactive"]),
)

queues = st.lists(
    st.tuples(
        lanes, st.sampled_from(PROJECTS), st.sampled_from("uv"), st.integers(0, 1), st.integers(0, 50)
    ),
    min_size=4,  # else hypothesis makes short ones
    max_size=25,
).map(
    lambda rows: [
        Demand(f"d{i}", f"job-{i}", lane, project, user, priority, float(at))
        for i, (lane, project, user, priority, at) in enumerate(rows)
    ]
)

quotas = st.dictionaries(
    st.sampled_from(PROJECTS),
    st.builds(
        Quota,
        st.sampled_from([None, 1.0, 4.0]),
        st.sampled_from([None, 4 * GIB]),
        st.sampled_from([None, 1.0]),
        st.sampled_from([None, 1, 3]),
    ),
)


def running(queue: list[Demand], nodes: list[Machine], spot: bool) -> list[Holding]:
    """What a first plan of other demands would have started: holdings that are possible."""
    made = plan(queue, nodes, [], now=NOW)
    by_id = {demand.id: demand for demand in queue}
    return [
        Holding(
            seat.node,
            by_id[ident].name,
            by_id[ident].lane.shape.cpu,
            by_id[ident].lane.shape.memory,
            seat.gpus,
            id=f"held-{ident}",
            project=by_id[ident].project,
            user=by_id[ident].user,
            spot=by_id[ident].lane.spot and spot,
            since=by_id[ident].queued_at,
            ends_by=None if (limit := by_id[ident].lane.time_limit) is None else NOW + limit,
            job=not by_id[ident].lane.interactive,
        )
        for ident, seats in made.placed.items()
        for seat in seats
    ]


def started(queue: list[Demand], made: Plan) -> list[Holding]:
    lanes = {demand.id: demand for demand in queue}
    return [
        Holding(
            seat.node,
            ident,
            lanes[ident].lane.shape.cpu,
            lanes[ident].lane.shape.memory,
            seat.gpus,
            id=ident,
            project=lanes[ident].project,
            spot=lanes[ident].lane.spot,
            job=not lanes[ident].lane.interactive,
        )
        for ident, seats in made.placed.items()
        for seat in seats
    ]


def within(nodes: list[Machine], every: list[Holding]) -> None:
    for machine in nodes:
        here = [held for held in every if held.node == machine.name]
        assert sum(h.cpu for h in here) <= machine.cpu + 1e-6
        assert sum(h.memory for h in here) <= machine.memory
        parts: dict[int, float] = defaultdict(float)
        for held in here:
            for device, part in held.gpus.items():
                parts[device] += part
        assert all(part <= 1 + 1e-6 for part in parts.values())
        assert all(0 <= device < len(machine.gpus) for device in parts)


def keeps_aside(nodes: list[Machine], before: list[Holding], new: list[Holding]) -> None:
    """Work that is bound takes nothing more where it has already all that it may."""
    for machine in nodes:
        mine = [h for h in new if h.node == machine.name and h.bound]
        held = [*mine, *(h for h in before if h.node == machine.name and h.bound)]
        if mine:
            assert sum(h.cpu for h in held) <= machine.cpu - machine.aside.cpu + 1e-6
            assert sum(h.memory for h in held) <= machine.memory - machine.aside.memory
        if any(h.gpus for h in mine):
            used = sum(sum(h.gpus.values()) for h in held)
            assert used <= len(machine.gpus) - machine.aside.gpu + 1e-6


@settings(max_examples=150)
@given(machines, asides, queues, queues, quotas, st.booleans())
def test_laws_of_one_plan(
    nodes: list[Machine],
    kept: list[Aside],
    before: list[Demand],
    queue: list[Demand],
    limits: dict[str, Quota],
    spot: bool,
) -> None:
    holdings = running(before, nodes, spot)  # of a time when nothing was set aside
    nodes = set_aside(nodes, kept)
    policy = Policy(quotas=limits)
    made = plan(queue, nodes, holdings, policy, NOW)
    assert set(made.placed) | set(made.waiting) == {d.id for d in queue}, "everybody gets an answer"
    assert not set(made.placed) & set(made.waiting)
    within(nodes, [*holdings, *started(queue, made)])
    keeps_aside(nodes, holdings, started(queue, made))
    by_id = {demand.id: demand for demand in queue}
    for ident, seats in made.placed.items():
        lane = by_id[ident].lane
        assert lane.replicas <= len(seats) <= lane.most, "whole or not at all"
        for seat in seats:
            names = [nodes[int(seat.node[1:])].gpus[device] for device in seat.gpus]
            assert abs(sum(seat.gpus.values()) - lane.shape.gpu) < 1e-9
            kind = lane.shape.gpu_name
            assert kind is None or all(kind.lower() in name.lower() for name in names)
    for project, quota in limits.items():
        mine = [h for h in started(queue, made) if h.project == project]
        if mine:
            held = [*mine, *(h for h in holdings if h.project == project)]
            assert quota.cpu is None or sum(h.cpu for h in held) <= quota.cpu + 1e-6
            assert quota.memory is None or sum(h.memory for h in held) <= quota.memory
            if any(h.job for h in mine):
                assert quota.running is None or len({h.id for h in held if h.job}) <= quota.running
            if any(h.gpus for h in mine):
                assert quota.gpu is None or sum(sum(h.gpus.values()) for h in held) <= quota.gpu + 1e-6
    spots = {h.id for h in holdings if h.spot}
    assert set(made.preempted) <= spots, "only spot work goes"
    assert all(not by_id[who].lane.spot for who in made.preempted.values())
    for ident, waiting in made.waiting.items():
        assert waiting.message, ident
        assert waiting.starts_by is None or waiting.starts_by >= NOW
    first = [demand for demand in queue if demand.lane.interactive]
    alone = plan(first, nodes, holdings, policy, NOW)
    for demand in first:
        assert alone.placed.get(demand.id) == made.placed.get(demand.id), "jobs change nothing for them"
    assert alone.preempted == {a: d for a, d in made.preempted.items() if by_id[d].lane.interactive}
    again = plan(queue[::-1], nodes[::-1], holdings, policy, NOW)
    assert again == made, "the same input, the same plan, in whatever order it comes"


@settings(max_examples=60)
@given(machines, asides, queues, st.lists(st.integers(1, 100), min_size=25, max_size=25))
def test_nobody_starves_and_promises_are_kept(
    nodes: list[Machine], kept: list[Aside], queue: list[Demand], lengths: list[int]
) -> None:
    """A bounded number of jobs all end, and none starts later than it was once told."""
    nodes = set_aside(nodes, kept)
    world = Simulation(nodes, Policy(preempt=False))
    possible = [demand for demand in queue if never_fits(demand.lane, nodes) is None]
    told: dict[str, float] = {}
    for demand, seconds in zip(possible, lengths, strict=False):
        limit = demand.lane.time_limit
        world.submit(demand, seconds if limit is None else min(seconds, limit))
    now = 0.0
    for _ in range(10 * len(queue) + 10):
        made = world.step(now)
        within(nodes, world.holdings)
        keeps_aside(nodes, [], world.holdings)
        for ident, waiting in made.waiting.items():
            if waiting.starts_by is not None:
                told[ident] = min(told.get(ident, waiting.starts_by), waiting.starts_by)
        following = world.next_end()
        if following is None:
            break
        now = following
    assert set(world.ended) == {demand.id for demand in possible}
    classes = {(d.lane.spot, d.lane.interactive, d.priority) for d in possible}
    if (
        len({d.project for d in possible}) <= 1
        and len({d.user for d in possible}) <= 1
        and len(classes) <= 1
    ):
        for ident, latest in told.items():  # turns do not change: what was told holds
            assert world.started[ident] <= latest + 1e-6


@settings(max_examples=60)
@given(machines, asides, queues, queues, st.booleans(), st.sampled_from([1, 2, 4]))
def test_who_is_first_starts_no_later_for_those_behind(
    nodes: list[Machine],
    kept: list[Aside],
    before: list[Demand],
    behind: list[Demand],
    spot: bool,
    cpu: int,
) -> None:
    """The moment that the head of the queue is told does not depend on what is submitted after it."""
    holdings = running(before, nodes, spot)
    nodes = set_aside(nodes, kept)
    head = Demand("head", "head", Lane(Shape(float(cpu), GIB), 2, 2, 100.0), "p", "u", 1, 0.0)
    later = [replace(demand, lane=replace(demand.lane, interactive=False), priority=0) for demand in behind]
    alone = plan([head], nodes, holdings, Policy(), NOW)
    made = plan([head, *later], nodes, holdings, Policy(), NOW)
    assert made.placed.get("head") == alone.placed.get("head")
    if "head" in alone.waiting:
        assert made.waiting["head"].starts_by == alone.waiting["head"].starts_by
        new = [
            replace(held, ends_by=None if (limit := by.lane.time_limit) is None else NOW + limit)
            for by in later
            if by.id in made.placed
            for held in started([by], Plan({by.id: made.placed[by.id]}))
        ]
        gone = [
            replace(held, leaving=True, ends_by=min(held.ends_by or NOW + held.grace, NOW + held.grace))
            if made.preempted.get(held.id) == "head"
            else held
            for held in holdings
        ]
        next_time = plan([head], nodes, [*gone, *new], Policy(preempt=False), NOW)
        told = alone.waiting["head"].starts_by
        if told is not None:
            then = next_time.waiting["head"].starts_by
            assert then is not None
            assert then <= told + 1e-6


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(20, 90), st.integers(20, 60))
def test_spot_work_loses_no_time_but_what_it_was_away(cores: int, long: int, short: int) -> None:
    world = Simulation([Machine("m", float(cores), 64 * GIB)])
    for n in range(cores):
        world.submit(Demand(f"s{n}", f"s{n}", Lane(Shape(1.0, GIB), spot=True)), long)
    world.step(0.0)
    for n in range(cores):
        world.submit(Demand(f"n{n}", f"n{n}", Lane(Shape(1.0, GIB)), queued_at=10.0), short)
    world.step(10.0)
    assert set(world.last.preempted) == {f"s{n}" for n in range(cores)}
    while (at := world.next_end()) is not None:
        world.step(at)
    gone = min(40.0, long)  # after the usual grace of 30 s
    assert all(world.ended[f"n{n}"] == gone + short for n in range(cores))
    assert all(
        world.ended[f"s{n}"] == (gone + short + (long - gone) if long > gone else long)
        for n in range(cores)
    )


def test_two_projects_share_a_machine_equally_whoever_came_first() -> None:
    """200 one-second jobs each on two cores, one project 5 s earlier than the other."""
    world = Simulation([Machine("m", 2.0, 64 * GIB)])
    for n in range(200):
        world.submit(Demand(f"p{n:03}", "p", Lane(Shape(1.0, GIB)), "p", queued_at=n / 1000), 1.0)
    now, work = 0.0, {"p": 0, "q": 0}
    while world.queue or world.holdings:
        if now == 5.0:
            for n in range(200):
                world.submit(
                    Demand(f"q{n:03}", "q", Lane(Shape(1.0, GIB)), "q", queued_at=5 + n / 1000), 1.0
                )
        made = world.step(now)
        if {d.project for d in world.queue.values()} == {"p", "q"}:
            for ident in made.placed:
                work[ident[0]] += 1
        now += 1.0
    assert len(world.ended) == 400
    assert abs(work["p"] - work["q"]) <= 0.1 * sum(work.values()), work
    assert sum(work.values()) > 300
