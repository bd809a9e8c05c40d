"""Who starts, where, and why the others wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nacre.domain.scheduling import (
    Aside,
    Demand,
    Holding,
    Lane,
    Machine,
    Policy,
    Quota,
    Shape,
    decayed,
    never_fits,
    plan,
)

GIB = 2**30
SMALL = Machine("local", 2.0, 8 * GIB)
H100 = "NVIDIA H100 80GB HBM3"
GPU = Machine("gpu", 8.0, 32 * GIB, (H100, H100))
NOW = 1000.0


def job(
    name: str,
    cpu: float = 1.0,
    gib: float = 1.0,
    gpu: float = 0,
    kind: str | None = None,
    *,
    replicas: int = 1,
    most: int | None = None,
    limit: float | None = None,
    spot: bool = False,
    **more: Any,
) -> Demand:
    shape = Shape(cpu, int(gib * GIB), gpu, kind)
    lane = Lane(shape, replicas, replicas if most is None else most, limit, spot)
    return Demand(name, name, lane, **more)


def held(
    name: str,
    cpu: float = 1.0,
    gib: float = 1.0,
    gpus: tuple[int, ...] = (),
    node: str = "local",
    **more: Any,
) -> Holding:
    return Holding(node, name, cpu, int(gib * GIB), dict.fromkeys(gpus, 1.0), id=name, **more)


class TestRoom:
    def test_jobs_start_while_there_is_room(self) -> None:
        made = plan([job("a"), job("b"), job("c")], [SMALL], [])
        assert set(made.placed) == {"a", "b"}
        assert made.waiting["c"].reason == "no_capacity"
        assert made.waiting["c"].message == "waits for 1 cpu: 2 of 2 in use by a and b"

    def test_the_sentence_has_numbers_and_names(self) -> None:
        made = plan([job("big", cpu=2)], [SMALL], [held("train-3", 1.0), held("instance lab", 0.5)])
        assert made.waiting["big"].message == "waits for 2 cpu: 1.5 of 2 in use by train-3 and instance lab"

    def test_the_shortest_supply_is_the_reason(self) -> None:
        made = plan([job("big", cpu=2, gib=6)], [SMALL], [held("train-3", cpu=0.1, gib=7.5)])
        assert (
            made.waiting["big"].message == "waits for 6 GiB of memory: 7.5 GiB of 8 GiB in use by train-3"
        )

    def test_what_other_projects_run_is_counted_and_not_named(self) -> None:
        taken = [held("mine", 0.5, project="p"), held("secret", 0.5, project="q")]
        made = plan([job("big", cpu=2, project="p")], [SMALL], taken)
        assert made.waiting["big"].message == (
            "waits for 2 cpu: 1 of 2 in use by mine and work of another project"
        )
        queue = [job("big", cpu=2, project="q", queued_at=1), job("small", project="p", queued_at=2)]
        taken = [held("other", 1.0, project="r"), held("more", 0.5, project="p")]
        made = plan(queue, [Machine("m", 2.5, 8 * GIB)], [replace(one, node="m") for one in taken])
        assert made.waiting["small"].message.startswith(
            "waits for what is kept for work of another project"
        )

    def test_of_many_machines_the_most_that_one_has_is_told(self) -> None:
        machines = [SMALL, Machine("other", 2.0, 8 * GIB)]
        made = plan([job("big", cpu=2)], machines, [held("x"), held("y", node="other")])
        assert made.waiting["big"].message == (
            "waits for 2 cpu: no machine has more than 1 free, 2 of 4 in use"
        )

    def test_cpu_on_one_machine_and_memory_on_another_are_not_enough(self) -> None:
        machines = [SMALL, Machine("other", 2.0, 8 * GIB)]
        taken = [held("x", cpu=2), held("y", cpu=0.5, gib=8, node="other")]
        made = plan([job("big", cpu=1, gib=2)], machines, taken)
        assert made.waiting["big"].message == (
            "waits for 1 cpu with 2 GiB of memory on one machine: 1.5 cpu and 7 GiB are free, "
            "but nowhere together"
        )

    def test_devices_are_given_by_index_and_kind(self) -> None:
        made = plan([job("a", gpu=1, kind="h100")], [SMALL, GPU], [held("x", gpus=(0,), node="gpu")])
        assert made.placed["a"] == [("gpu", {1: 1.0})]

    def test_the_fullest_machine_that_fits_is_taken_and_gpus_are_left_to_who_needs_them(self) -> None:
        full = Machine("full", 2.0, 8 * GIB)
        made = plan([job("a")], [GPU, SMALL, full], [held("x", node="full")])
        assert made.placed["a"][0].node == "full"
        assert plan([job("a", cpu=2)], [GPU, SMALL], []).placed["a"][0].node == "local"

    def test_parts_of_a_device_share_one(self) -> None:
        made = plan([job(n, gpu=0.5) for n in "abcde"], [GPU], [])
        assert [next(iter(made.placed[n][0].gpus.items())) for n in "abcd"] == [
            (0, 0.5),
            (0, 0.5),
            (1, 0.5),
            (1, 0.5),
        ]
        assert made.waiting["e"].message == "waits for 0.5 GPU: 2 of 2 in use by a, b, c and 1 more"

    def test_a_shared_device_is_no_whole_one(self) -> None:
        part = Holding("gpu", "x", 1, GIB, {0: 0.5}, id="x")
        made = plan([job("two", gpu=2, queued_at=1), job("one", gpu=1, queued_at=2)], [GPU], [part])
        assert made.waiting["two"].message == "waits for 2 GPUs: 0.5 of 2 in use by x"
        assert made.placed == {}, "the other device is kept for the one before it"


def instance(name: str, cpu: float = 1.0, gpu: float = 0, **more: Any) -> Demand:
    return Demand(name, name, Lane(Shape(cpu, GIB, gpu), interactive=True), **more)


class TestInteractive:
    def test_an_instance_is_before_every_job(self) -> None:
        made = plan([job("a", cpu=2, priority=2), instance("lab", queued_at=9)], [SMALL], [])
        assert set(made.placed) == {"lab"}
        assert made.waiting["a"].message == "waits for 2 cpu: 1 of 2 in use by lab"

    def test_it_waits_for_its_quota_but_not_for_that_of_running_jobs(self) -> None:
        policy = Policy(quotas={"p": Quota(cpu=1, running=0)})
        made = plan(
            [instance("one", project="p"), instance("two", project="p", queued_at=1)], [SMALL], [], policy
        )
        assert set(made.placed) == {"one"}
        assert made.waiting["two"].message == "project p may have 1 cpu: 1 in use, 1 more asked"
        assert made.waiting["two"].reason == "quota_exceeded"

    def test_spot_work_makes_room_for_it(self) -> None:
        taken = [held("cheap", cpu=2, spot=True)]
        made = plan([instance("lab"), job("b", queued_at=-1)], [SMALL], taken)
        assert made.preempted == {"cheap": "lab"}
        assert made.waiting["lab"].message.startswith("waits until cheap ends, spot work that makes room")

    def test_its_place_is_kept_from_jobs(self) -> None:
        made = plan(
            [instance("lab", cpu=2), job("b", queued_at=-1)],
            [SMALL],
            [held("x", ends_by=NOW + 60)],
            now=NOW,
        )
        assert made.waiting["lab"].starts_by == NOW + 60
        assert made.waiting["b"].message == "waits for what is kept for lab, before it in the queue"


class TestSetAside:
    KEPT = replace(SMALL, cpu=4.0, aside=Aside(2.0, 4 * GIB))

    def test_jobs_leave_it_alone_and_say_so(self) -> None:
        made = plan([job(n) for n in "abc"], [self.KEPT], [])
        assert set(made.placed) == {"a", "b"}
        assert made.waiting["c"].reason == "reserved"
        assert made.waiting["c"].message == (
            "waits for 1 cpu: 2 of 2 in use by a and b, 2 cpu more are set aside for instances and "
            "endpoints"
        )

    def test_instances_take_it_and_spot_work_meanwhile(self) -> None:
        queue = [job("a", cpu=2), job("cheap", spot=True), job("other", spot=True), instance("lab")]
        made = plan(queue, [self.KEPT], [])
        assert set(made.placed) == {"a", "cheap", "lab"}
        made = plan(
            [instance("lab", cpu=2)], [self.KEPT], [held("a", cpu=2), held("cheap", cpu=2, spot=True)]
        )
        assert made.preempted == {"cheap": "lab"}

    def test_spot_work_there_does_not_make_room_for_a_job(self) -> None:
        taken = [held("a", cpu=2), held("cheap", cpu=2, spot=True)]
        made = plan([job("b")], [self.KEPT], taken)
        assert made.preempted == {}
        assert made.waiting["b"].reason == "reserved"

    def test_instances_beyond_it_leave_less_to_jobs(self) -> None:
        made = plan([job(n) for n in "ab"], [self.KEPT], [held("lab", cpu=3, job=False)])
        assert set(made.placed) == {"a"}
        assert made.waiting["b"].message.startswith("waits for 1 cpu: 4 of 4 in use by lab and a")

    def test_a_device_is_counted_not_named(self) -> None:
        kept = replace(GPU, aside=Aside(gpu=1.0))
        made = plan([job("a", gpu=1), job("b", gpu=1, queued_at=1), instance("lab", gpu=1)], [kept], [])
        assert set(made.placed) == {"a", "lab"}
        assert made.waiting["b"].message == (
            "waits for 1 GPU: 1 of 1 in use by a, 1 GPU more is set aside for instances and endpoints"
        )

    def test_work_that_needs_more_than_is_left_is_refused(self) -> None:
        assert never_fits(job("a", cpu=3).lane, [self.KEPT]) == (
            "this needs 3 cpu, 1 GiB of memory; the largest machine (local) has 4 cpu, 8 GiB of memory and "
            "no GPUs, of which 2 cpu and 4 GiB of memory are set aside for instances and endpoints: "
            "ask for less"
        )
        assert never_fits(job("a", cpu=3, spot=True).lane, [self.KEPT]) is None
        assert never_fits(instance("lab", cpu=3).lane, [self.KEPT]) is None
        assert never_fits(job("a", replicas=3).lane, [self.KEPT]) == (
            "3 replicas of 1 cpu need 3 cpu at once; the machine has 4 cpu in all, 2 cpu of them set aside "
            "for instances and endpoints: ask for fewer replicas, or for less in each"
        )

    def test_who_comes_later_does_not_take_what_is_left_of_it_from_the_head(self) -> None:
        taken = [held("x", ends_by=NOW + 100)]
        queue = [
            job("head", cpu=2, limit=50.0),
            job("later", queued_at=1),
            job("short", queued_at=2, limit=90.0),
        ]
        made = plan(queue, [self.KEPT], taken, now=NOW)
        assert made.waiting["head"].starts_by == NOW + 100
        assert set(made.placed) == {"short"}
        assert made.waiting["later"].message.startswith("waits for")


class TestTogether:
    def test_what_is_left_beside_a_kept_place_is_given_once(self) -> None:
        taken = [held("x", cpu=4, node="gpu", ends_by=NOW + 100)]
        queue = [job("head", cpu=6), job("a", cpu=2, queued_at=1), job("b", cpu=2, queued_at=2)]
        made = plan(queue, [GPU], taken, now=NOW)
        assert made.waiting["head"].starts_by == NOW + 100
        assert set(made.placed) == {"a"}

    def test_an_elastic_gang_takes_no_more_than_its_quota(self) -> None:
        policy = Policy(quotas={"p": Quota(cpu=2)})
        made = plan([job("e", replicas=1, most=4, project="p")], [GPU], [], policy)
        assert len(made.placed["e"]) == 2

    def test_spot_work_that_need_not_go_stays(self) -> None:
        taken = [
            held("old", cpu=6, node="gpu", spot=True, since=1),
            held("new", cpu=2, node="gpu", spot=True, since=2),
        ]
        assert plan([job("a", cpu=5)], [GPU], taken).preempted == {"old": "a"}
        assert plan([job("a", cpu=2)], [GPU], taken).preempted == {"new": "a"}


class TestGangs:
    def test_what_the_others_of_a_gang_wait_for(self) -> None:
        taken = [held("x", gpus=(0,), node="gpu")]
        made = plan([job("g", cpu=0.5, gpu=1, replicas=2)], [GPU], taken)
        assert made.waiting["g"].message == (
            "waits for 2 replicas at once: 1 of them fits now, the other waits for 1 GPU: "
            "1 of 2 in use by x"
        )
        made = plan([job("g", cpu=2, replicas=4)], [GPU], [held("x", cpu=5, node="gpu")])
        assert made.waiting["g"].message == (
            "waits for 4 replicas at once: 1 of them fits now, the other 3 wait for 2 cpu each: "
            "5 of 8 in use by x"
        )

    def test_a_gang_starts_whole_or_not_at_all(self) -> None:
        made = plan([job("gang", replicas=3)], [SMALL], [])
        assert made.waiting["gang"].message.startswith("3 replicas of 1 cpu need 3 cpu at once;")
        made = plan([job("gang", replicas=2)], [SMALL], [held("x")])
        assert made.waiting["gang"].reason == "gang_incomplete"
        assert made.waiting["gang"].message == (
            "waits for 2 replicas at once: 1 of them fits now, the other waits for 1 cpu: "
            "1 of 2 in use by x"
        )

    def test_one_machine_if_one_can_hold_it_else_as_few_as_possible(self) -> None:
        machines = [Machine("a", 2, 8 * GIB), Machine("b", 3, 8 * GIB), Machine("c", 4, 8 * GIB)]
        assert {s.node for s in plan([job("g", replicas=3)], machines, []).placed["g"]} == {"b"}
        spread = plan([job("g", replicas=6)], machines, []).placed["g"]
        assert [s.node for s in spread] == ["c"] * 4 + ["b"] * 2

    def test_an_elastic_gang_takes_what_there_is(self) -> None:
        assert len(plan([job("e", replicas=1, most=4)], [GPU], []).placed["e"]) == 4
        assert len(plan([job("e", replicas=1, most=4)], [SMALL], []).placed["e"]) == 2
        made = plan([job("e", replicas=2, most=4)], [SMALL], [held("x")])
        assert made.waiting["e"].reason == "gang_incomplete"

    def test_replicas_get_devices_of_their_own(self) -> None:
        seats = plan([job("g", gpu=1, replicas=2)], [GPU], []).placed["g"]
        assert [dict(s.gpus) for s in seats] == [{0: 1.0}, {1: 1.0}]


class TestTurns:
    def test_the_project_with_less_goes_first(self) -> None:
        queue = [job("a1", project="a", queued_at=1), job("b1", project="b", queued_at=2)]
        made = plan(queue, [SMALL], [held("x", project="a")])
        assert set(made.placed) == {"b1"}

    def test_then_the_user_with_less_then_age(self) -> None:
        queue = [
            job("u1", project="a", user="u", queued_at=1),
            job("v1", project="a", user="v", queued_at=2),
            job("w1", project="a", user="w", queued_at=3),
        ]
        made = plan(queue, [SMALL], [held("x", project="a", user="u")])
        assert set(made.placed) == {"v1"}

    def test_two_projects_take_turns_whoever_came_first(self) -> None:
        queue = [job(f"a{n}", project="a", queued_at=n) for n in range(4)]
        queue += [job(f"b{n}", project="b", queued_at=10 + n) for n in range(4)]
        made = plan(queue, [Machine("m", 4, 8 * GIB)], [])
        assert set(made.placed) == {"a0", "a1", "b0", "b1"}

    def test_weights_and_recent_use_count(self) -> None:
        queue = [job(f"{p}{n}", project=p, queued_at=n) for p in "ab" for n in range(4)]
        machine = Machine("m", 4, 80 * GIB)
        heavier = plan(queue, [machine], [], Policy(weights={"a": 3.0}))
        assert set(heavier.placed) == {"a0", "a1", "a2", "b0"}
        used = plan(queue, [machine], [], Policy(used={"a": 0.4}))
        assert set(used.placed) == {"a0", "b0", "b1", "b2"}

    def test_a_higher_class_comes_first_always(self) -> None:
        queue = [job("low", project="a", queued_at=1), job("high", project="b", priority=1, queued_at=2)]
        made = plan(queue, [SMALL], [held("x", project="b")])
        assert set(made.placed) == {"high"}

    def test_the_average_forgets(self) -> None:
        assert decayed(0.8, 0.0, 4 * 3600) == 0.4
        assert abs(decayed(0.0, 1.0, 8 * 3600) - 0.75) < 1e-12


class TestQuota:
    def test_each_limit_is_named_with_numbers(self) -> None:
        def message(quota: Quota, demand: Demand) -> str:
            holding = [held("x", 2.0, 4, (0,), node="gpu", project="p")]
            waiting = plan([demand], [GPU], holding, Policy(quotas={"p": quota})).waiting[demand.id]
            assert waiting.reason == "quota_exceeded"
            return waiting.message

        mine = job("a", 2.0, 2.0, project="p")
        assert message(Quota(cpu=3), mine) == "project p may have 3 cpu: 2 in use, 2 more asked"
        assert message(Quota(memory=5 * GIB), mine) == (
            "project p may have 5 GiB of memory: 4 GiB in use, 2 GiB more asked"
        )
        assert message(Quota(running=1), mine) == "project p may have 1 running job: 1 run"
        assert message(Quota(gpu=1), job("g", gpu=1, project="p")) == (
            "project p may have 1 GPU: 1 in use, 1 more asked"
        )

    def test_who_is_over_quota_holds_nobody_up(self) -> None:
        queue = [job("over", project="p", queued_at=1), job("other", project="q", queued_at=2)]
        made = plan(queue, [SMALL], [], Policy(quotas={"p": Quota(cpu=0.5)}))
        assert set(made.placed) == {"other"}

    def test_what_starts_counts_at_once(self) -> None:
        queue = [job(f"a{n}", cpu=0.1, project="p", queued_at=n) for n in range(4)]
        made = plan(queue, [SMALL], [], Policy(quotas={"p": Quota(running=3)}))
        assert set(made.placed) == {"a0", "a1", "a2"}


class TestBackfill:
    def test_a_later_job_does_not_take_what_an_earlier_one_waits_for(self) -> None:
        made = plan([job("big", cpu=2, queued_at=1), job("small", queued_at=2)], [SMALL], [held("train-3")])
        assert not made.placed
        assert made.waiting["small"].message == "waits for what is kept for big, before it in the queue"

    def test_a_later_job_starts_out_of_what_no_earlier_one_needs(self) -> None:
        busy = [held("train-3", gpus=(0, 1), node="gpu")]
        made = plan([job("waits", gpu=2, queued_at=1), job("starts", cpu=2, queued_at=2)], [GPU], busy)
        assert set(made.placed) == {"starts"}
        assert made.waiting["waits"].message == "waits for 2 GPUs: 2 of 2 in use by train-3"

    def test_a_short_job_goes_before_where_it_delays_nobody(self) -> None:
        busy = [held("x", ends_by=NOW + 600)]
        queue = [job("big", cpu=2, queued_at=1), job("short", limit=500, queued_at=2)]
        made = plan(queue, [SMALL], busy, now=NOW)
        assert set(made.placed) == {"short"}
        assert made.waiting["big"].starts_by == NOW + 600
        assert made.waiting["big"].message == (
            "waits for 2 cpu: 1 of 2 in use by x; it starts in at most 10 min"
        )
        queue[1] = job("long", limit=700, queued_at=2)
        assert not plan(queue, [SMALL], busy, now=NOW).placed

    def test_the_second_in_line_knows_its_time_too(self) -> None:
        busy = [held("x", cpu=2, ends_by=NOW + 60)]
        queue = [job(n, cpu=2, limit=100, queued_at=i) for i, n in enumerate("abc")]
        made = plan(queue, [SMALL], busy, now=NOW)
        assert [made.waiting[n].starts_by for n in "abc"] == [NOW + 60, NOW + 160, NOW + 260]

    def test_devices_that_are_free_now_stay_of_use(self) -> None:
        three = Machine("gpu", 8, 32 * GIB, (H100,) * 3)
        busy = [held("x", gpus=(0, 1), node="gpu", ends_by=NOW + 60)]
        queue = [job("two", gpu=2, queued_at=1), job("one", gpu=1, queued_at=2)]
        made = plan(queue, [three], busy, now=NOW)
        assert made.placed == {"one": [("gpu", {2: 1.0})]}


class TestSpot:
    def test_spot_work_makes_room_the_newest_first_and_no_more_than_needed(self) -> None:
        busy = [held(f"s{n}", spot=True, since=n, node="gpu", cpu=2, grace=20) for n in range(4)]
        made = plan([job("normal", cpu=3)], [GPU], busy, now=NOW)
        assert made.preempted == {"s3": "normal", "s2": "normal"}
        assert made.waiting["normal"].message == (
            "waits until s2 and s3 end, spot work that makes room for it; it starts in at most 20 s"
        )

    def test_nobody_more_goes_while_those_told_to_go_are_leaving(self) -> None:
        busy = [
            held("s0", spot=True, leaving=True, ends_by=NOW + 5),
            held("s1", spot=True),
        ]
        made = plan([job("normal")], [SMALL], busy, now=NOW)
        assert made.preempted == {}
        assert made.waiting["normal"].starts_by == NOW + 5

    def test_spot_work_sends_nobody_away_and_comes_last(self) -> None:
        queue = [job("s", spot=True, queued_at=1), job("n", queued_at=2), job("m", queued_at=3)]
        made = plan(queue, [SMALL], [])
        assert set(made.placed) == {"n", "m"}
        assert plan([job("t", spot=True)], [SMALL], [held("s", cpu=2, spot=True)]).preempted == {}

    def test_what_would_not_help_stays(self) -> None:
        busy = [held("s", spot=True), held("fixed")]
        assert plan([job("big", cpu=2)], [SMALL], busy).preempted == {}

    def test_several_that_wait_get_room_at_once(self) -> None:
        busy = [held(f"s{n}", spot=True, since=n) for n in range(2)]
        made = plan([job("a", queued_at=1), job("b", queued_at=2)], [SMALL], busy)
        assert made.preempted == {"s1": "a", "s0": "b"}


class TestNever:
    def test_what_no_machine_could_hold_is_named_beside_the_largest(self) -> None:
        lane = job("x", cpu=16, gpu=4, kind="h100").lane
        assert never_fits(lane, [SMALL, GPU]) == (
            "this needs 16 cpu, 1 GiB of memory and 4 GPUs (h100); the largest machine (gpu) has "
            f"8 cpu, 32 GiB of memory and 2 GPUs ({H100}): ask for less"
        )
        assert never_fits(job("x").lane, []) == (
            "this needs 1 cpu, 1 GiB of memory, and there is no machine: see 'nacre node ls'"
        )

    def test_a_gang_larger_than_all_machines_says_what_they_could_hold(self) -> None:
        assert never_fits(job("g", cpu=2, replicas=8).lane, [SMALL, replace(SMALL, name="b")]) == (
            "8 replicas of 2 cpu need 16 cpu at once; the machines have 4 cpu in all: ask for fewer "
            "replicas, or for less in each"
        )
        assert never_fits(job("g", gib=3, replicas=3).lane, [SMALL]) == (
            "3 replicas of 1 cpu need 3 cpu at once; the machine has 2 cpu in all: ask for fewer "
            "replicas, or for less in each"
        )
        assert never_fits(job("g", cpu=0.1, gib=5, replicas=2).lane, [SMALL]) == (
            "2 replicas of 5 GiB of memory need 10 GiB of memory at once; the machine has 8 GiB of memory "
            "in all: ask for fewer replicas, or for less in each"
        )

    def test_a_gang_that_fits_in_sum_and_nowhere_whole(self) -> None:
        assert never_fits(job("g", cpu=1.5, replicas=2).lane, [SMALL, Machine("tiny", 1, GIB)]) == (
            "this needs 2 replicas of 1.5 cpu, 1 GiB of memory; the 2 machines could hold 1 when "
            "nothing else runs: ask for fewer replicas, or for less in each"
        )
        assert never_fits(job("g", replicas=10).lane, [SMALL, GPU]) is None
