"""Placement: first come, first served, with a reason in numbers for whoever waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.scheduling import Demand, Holding, Machine, Placement, Taken, never_fits, place, taken

GIB = 2**30
SMALL = Machine("local", 2.0, 8 * GIB)
GPU = Machine("gpu", 8.0, 32 * GIB, ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"))


def job(name: str, cpu: float = 1.0, gib: float = 1.0, gpu: int = 0, kind: str | None = None) -> Demand:
    return Demand(name, name, cpu, int(gib * GIB), gpu, kind)


def held(
    name: str, cpu: float = 1.0, gib: float = 1.0, gpus: tuple[int, ...] = (), node: str = "local"
) -> Holding:
    return Holding(node, name, cpu, int(gib * GIB), gpus)


class TestPlace:
    def test_jobs_start_while_there_is_room(self) -> None:
        plan = place([job("a"), job("b"), job("c")], [SMALL], [])
        assert set(plan.placed) == {"a", "b"}
        assert plan.waiting["c"].reason == "no_capacity"
        assert plan.waiting["c"].message == "waits for 1 cpu: 2 of 2 in use by a and b"

    def test_the_sentence_has_numbers_and_names(self) -> None:
        plan = place([job("big", cpu=2)], [SMALL], [held("train-3", 1.0), held("instance lab", 0.5)])
        assert plan.waiting["big"].message == "waits for 2 cpu: 1.5 of 2 in use by train-3 and instance lab"

    def test_the_shortest_supply_is_the_reason(self) -> None:
        plan = place([job("big", cpu=2, gib=6)], [SMALL], [held("train-3", cpu=0.1, gib=7.5)])
        assert (
            plan.waiting["big"].message == "waits for 6 GiB of memory: 7.5 GiB of 8 GiB in use by train-3"
        )

    def test_a_later_job_does_not_take_what_an_earlier_one_waits_for(self) -> None:
        plan = place([job("big", cpu=2), job("small")], [SMALL], [held("train-3")])
        assert not plan.placed
        assert plan.waiting["small"].message.endswith("in use by train-3; big is before it in the queue")

    def test_a_later_job_starts_out_of_what_no_earlier_one_needs(self) -> None:
        busy = [held("train-3", gpus=(0, 1), node="gpu")]
        plan = place([job("waits", gpu=2), job("starts", cpu=2)], [GPU], busy)
        assert set(plan.placed) == {"starts"}
        assert plan.waiting["waits"].message == "waits for 2 GPUs: 2 of 2 in use by train-3"

    def test_devices_are_given_by_index_and_kind(self) -> None:
        plan = place([job("a", gpu=1, kind="h100")], [SMALL, GPU], [held("x", gpus=(0,), node="gpu")])
        assert plan.placed["a"] == Placement("gpu", [1])

    def test_the_fullest_machine_that_fits_is_taken(self) -> None:
        plan = place([job("a")], [GPU, SMALL], [])
        assert plan.placed["a"].node == "local"

    @given(
        st.lists(
            st.tuples(st.floats(0.1, 4).map(lambda c: round(c, 1)), st.integers(1, 16), st.integers(0, 2)),
            max_size=12,
        )
    )
    def test_nothing_is_given_twice_and_everybody_gets_an_answer(
        self, asked: list[tuple[float, int, int]]
    ) -> None:
        queue = [job(str(i), cpu, gib, gpu) for i, (cpu, gib, gpu) in enumerate(asked)]
        plan = place(queue, [SMALL, GPU], [])
        assert set(plan.placed) | set(plan.waiting) == {d.id for d in queue}
        assert not set(plan.placed) & set(plan.waiting)
        for machine in (SMALL, GPU):
            here = [d for d in queue if d.id in plan.placed and plan.placed[d.id].node == machine.name]
            assert sum(d.cpu for d in here) <= machine.cpu + 1e-6
            assert sum(d.memory for d in here) <= machine.memory
            gpus = [index for d in here for index in plan.placed[d.id].gpus]
            assert len(gpus) == len(set(gpus)) <= len(machine.gpus)


class TestNeverFits:
    def test_what_some_machine_could_hold_fits(self) -> None:
        assert never_fits(job("a", cpu=8, gpu=2), [SMALL, GPU]) is None

    def test_the_sentence_names_the_largest(self) -> None:
        said = never_fits(job("a", cpu=64, gib=4), [SMALL])
        assert said == (
            "this needs 64 cpu, 4 GiB of memory; the largest machine (local) has 2 cpu, 8 GiB of memory "
            "and no GPUs: ask for less"
        )

    def test_a_kind_of_gpu_that_nobody_has(self) -> None:
        said = never_fits(job("a", gpu=1, kind="A100"), [SMALL, GPU])
        assert said is not None
        assert "1 GPU (A100)" in said

    def test_without_machines(self) -> None:
        assert "no machine" in (never_fits(job("a"), []) or "")


def test_what_is_taken_is_summed_by_node() -> None:
    sums = taken([held("a", 0.5, 1, (0,)), held("b", 1, 1, (1,)), held("c", 2, 2, (), "other")])
    assert sums == {
        "local": Taken(1.5, 2 * GIB, frozenset({0, 1})),
        "other": Taken(2, 2 * GIB, frozenset()),
    }
