"""What is put together, where it runs, and how calls end that are not answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import uvloop

from nacre.modelserver.backend import DeadlineExceeded, ModelFailed, Overloaded, ReplicaLost
from nacre.modelserver.batching import Batcher, Gone
from nacre.modelserver.calls import BadRequest, Call, Interface
from nacre.modelserver.rows import rowwise
from nacre.modelserver.tensors import Array
from nacre.schema.serving import Signature, TensorSpec

FAR = 1e9


def spec(name: str, shape: list[int], datatype: Any = "FP32") -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


def interface(inputs: list[TensorSpec] | None = None, outputs: list[TensorSpec] | None = None) -> Interface:
    inputs = inputs or [spec("x", [-1, 2])]
    return Interface("m", "1", Signature(inputs=inputs, outputs=outputs or [spec("y", [-1, 2])]))


class Double:
    """Answers ``2 * x``, and notes what it was asked. ``refuse``: fails when this number is among it."""

    def __init__(self, inline: bool = True, refuse: float | None = None) -> None:
        self.inline = inline
        self.rowwise = True
        self.refuse = refuse
        self.asked: list[Array] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def run(self, outputs: list[str], feed: dict[str, Array]) -> list[Array]:
        self.asked.append(feed["x"])
        self.threads.add(threading.get_ident())
        assert self.gate.wait(30)
        if self.refuse is not None and (feed["x"] == self.refuse).any():
            raise RuntimeError("this number is not liked")
        return [feed["x"] * 2 for _ in outputs]

    @property
    def sizes(self) -> list[int]:
        return [len(array) for array in self.asked]


class Far:
    """A remote model whose batches end when the test says so."""

    def __init__(self) -> None:
        self.started: list[tuple[dict[str, Array], float, Callable[[Any], None]]] = []

    def start(
        self, outputs: list[str], feed: dict[str, Array], deadline: float, done: Callable[[Any], None]
    ) -> None:
        self.started.append((feed, deadline, done))

    def answer(self, at: int) -> None:
        feed, _, done = self.started[at]
        done([feed["x"] * 2])


class Asker:
    """Submits calls and keeps their outcomes in the order of their ends."""

    def __init__(self, batcher: Batcher, outputs: list[str] | None = None) -> None:
        self.batcher = batcher
        self.outputs = outputs or ["y"]
        self.ended: list[float] = []
        self.outcomes: dict[float, Any] = {}

    def ask(self, number: float, rows: int = 1, deadline: float = FAR, **more: Any) -> Any:
        feed = {"x": np.full((rows, 2), number, "f4"), **more}

        def done(outcome: Any) -> None:
            assert number not in self.outcomes, "an outcome comes once"
            self.ended.append(number)
            self.outcomes[number] = outcome

        return self.batcher.submit(Call(feed, self.outputs), deadline, done)

    async def until(self, *numbers: float) -> None:
        while not self.outcomes.keys() >= set(numbers):
            await asyncio.sleep(0.001)

    def right(self, *numbers: float, rows: int = 1) -> None:
        for number in numbers:
            (y,) = self.outcomes[number]
            assert np.array_equal(y, np.full((rows, 2), number * 2, "f4")), (number, y)


def play(scene: Callable[[ThreadPoolExecutor], Awaitable[None]]) -> None:
    with ThreadPoolExecutor(4) as threads:
        uvloop.run(asyncio.wait_for(scene(threads), 30))  # type: ignore[arg-type]


def make(
    backend: Any, threads: ThreadPoolExecutor, shape: Interface | None = None, **bounds: int
) -> Batcher:
    chosen = {"max_batch": 8, "concurrency": 1, "queue": 100} | bounds
    return Batcher(backend, shape or interface(), threads, **chosen)


def test_calls_of_one_turn_are_one_batch() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        asker = Asker(make(model, threads))
        for number in range(5):
            asker.ask(number, rows=1 + number % 2)
        assert not model.asked
        await asyncio.sleep(0)
        assert model.sizes == [7]
        assert model.threads == {threading.get_ident()}
        asker.right(0, 2, 4)
        asker.right(1, 3, rows=2)
        assert asker.batcher.batches == 1

    play(scene)


def test_one_call_alone_is_not_copied() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        asker = Asker(make(model, threads))
        waiting = asker.ask(1)
        await asyncio.sleep(0)
        assert model.asked[0] is waiting.call.feed["x"]

    play(scene)


def test_a_batch_has_no_more_rows_than_it_may_and_nobody_overtakes_for_long() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        asker = Asker(make(model, threads, max_batch=4))
        for number, rows in enumerate((3, 3, 1, 9, 2, 2)):
            asker.ask(number, rows=rows)
        await asyncio.sleep(0)
        # The third fits beside the first; nine rows in one request are that request's own affair.
        assert model.sizes == [4, 3, 9, 4]
        assert asker.ended == [0, 2, 1, 3, 4, 5]

    play(scene)


def test_only_calls_that_fit_together_are_joined() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        shape = interface([spec("x", [-1, -1])])
        asker = Asker(make(model, threads, shape))
        other = Asker(asker.batcher, ["y", "y"])
        asker.ask(1)
        other.ask(2)
        asker.ask(3)
        wide = Call({"x": np.zeros((1, 3), "f4")}, ["y"])
        ends: list[Any] = []
        asker.batcher.submit(wide, FAR, ends.append)
        asker.ask(4)
        await asyncio.sleep(0)
        assert [array.shape for array in model.asked] == [(3, 2), (1, 2), (1, 3)]
        asker.right(1, 3, 4)
        assert [y.shape for y in ends[0]] == [(1, 3)]
        assert len(other.outcomes[2]) == 2

    play(scene)


def test_inputs_of_different_lengths_and_empty_ones_stay_alone() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        asker = Asker(make(model, threads, interface([spec("x", [-1, 2]), spec("z", [-1, 2])])))
        one = np.zeros((1, 2), "f4")
        asker.ask(1, rows=3, z=one)
        asker.ask(2, rows=0, z=one[:0])
        asker.ask(3, z=one)
        asker.ask(4, z=one)
        await asyncio.sleep(0)
        assert model.sizes == [3, 0, 2]

    play(scene)


@pytest.mark.parametrize(
    "shape",
    [
        interface(outputs=[spec("y", [2])]),
        interface([spec("x", [1, 2])]),
        interface([spec("x", [-1, 2]), spec("z", [])]),
        interface(outputs=[spec("y", [-1, 2]), spec("loss", [])]),
    ],
)
def test_models_without_a_batch_dimension_get_no_batches(shape: Interface) -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        asker = Asker(make(model, threads, shape))
        asker.ask(1)
        asker.ask(2)
        await asyncio.sleep(0)
        assert model.sizes == [1, 1]

    play(scene)


def test_one_bad_call_does_not_fail_the_others() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double(refuse=2)
        asker = Asker(make(model, threads))
        for number in (1, 2, 3):
            asker.ask(number)
        await asyncio.sleep(0)
        asker.right(1, 3)
        assert str(asker.outcomes[2]) == "this number is not liked"
        assert model.sizes == [3, 1, 1, 1]

    play(scene)


def test_a_model_that_does_not_answer_a_row_for_a_row_is_asked_one_by_one() -> None:
    class Mean(Double):
        def run(self, outputs: list[str], feed: dict[str, Array]) -> list[Array]:
            return [super().run(outputs, feed)[0].mean(axis=0, keepdims=True)]

    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Mean()
        asker = Asker(make(model, threads))
        for number in (1, 2):
            asker.ask(number)
        await asyncio.sleep(0)
        asker.right(1, 2)
        for number in (3, 4):
            asker.ask(number)
        await asyncio.sleep(0)
        asker.right(3, 4)
        assert model.sizes == [2, 1, 1, 1, 1]

    play(scene)


def test_a_long_model_runs_on_a_thread_and_takes_what_came_meanwhile() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double(inline=False)
        model.gate.clear()
        asker = Asker(make(model, threads))
        asker.ask(0)
        await asyncio.sleep(0)
        while not model.asked:
            await asyncio.sleep(0.001)
        for number in (1, 2, 3):
            asker.ask(number)
            await asyncio.sleep(0.001)
        assert (asker.batcher.waiting, asker.batcher.running, model.sizes) == (3, 1, [1])
        model.gate.set()
        await asker.until(0, 1, 2, 3)
        asker.right(0, 1, 2, 3)
        assert model.sizes == [1, 3]
        assert threading.get_ident() not in model.threads
        assert (asker.batcher.waiting, asker.batcher.running, asker.batcher.batches) == (0, 0, 2)

    play(scene)


def test_an_inline_model_that_turns_out_long_leaves_the_loop() -> None:
    class Slow(Double):
        def run(self, outputs: list[str], feed: dict[str, Array]) -> list[Array]:
            end = time.perf_counter() + 0.05
            while time.perf_counter() < end:
                pass
            return super().run(outputs, feed)

    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Slow()
        asker = Asker(make(model, threads))
        for number in range(10):
            asker.ask(number)
            await asker.until(number)
        assert len(model.threads) > 1
        asker.right(*range(10))

    play(scene)


def test_concurrency_bounds_what_is_under_way_and_the_queue_what_waits() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double(inline=False)
        model.rowwise = False
        model.gate.clear()
        asker = Asker(make(model, threads, concurrency=2, queue=3))
        for number in range(7):
            asker.ask(number)
        assert isinstance(asker.outcomes[5], Overloaded)
        assert isinstance(asker.outcomes[6], Overloaded)
        await asyncio.sleep(0)
        assert (asker.batcher.running, asker.batcher.waiting) == (2, 3)
        asker.ask(7)
        assert asker.outcomes[7].status == 503
        model.gate.set()
        await asker.until(*range(5))
        asker.right(*range(5))

    play(scene)


def test_other_bounds_take_effect_at_once() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        far = Far()
        asker = Asker(make(far, threads, concurrency=0))
        for number in (1, 2):
            asker.ask(number)
        await asyncio.sleep(0)
        assert (far.started, asker.batcher.waiting) == ([], 2)
        asker.batcher.configure(max_batch=1, concurrency=2, queue=5)
        assert len(far.started) == 2
        far.answer(0)
        far.answer(1)
        asker.right(1, 2)

    play(scene)


def test_what_waits_past_its_deadline_is_not_run() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        model = Double(inline=False)
        model.gate.clear()
        asker = Asker(make(model, threads))
        asker.ask(0, deadline=loop.time() + 0.05)
        while not model.asked:
            await asyncio.sleep(0.001)
        asker.ask(1, deadline=loop.time() + 0.02)
        asker.ask(2)
        await asker.until(0, 1)
        # Both are over while the first still runs; its late answer is thrown away.
        assert all(isinstance(asker.outcomes[number], DeadlineExceeded) for number in (0, 1))
        assert asker.ended == [1, 0]
        model.gate.set()
        await asker.until(2)
        asker.right(2)
        assert [array[0, 0] for array in model.asked] == [0, 2]

    play(scene)


def test_what_nobody_waits_for_is_not_run() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double(inline=False)
        model.gate.clear()
        asker = Asker(make(model, threads))
        running = asker.ask(0)
        while not model.asked:
            await asyncio.sleep(0.001)
        waiting = asker.ask(1)
        asker.ask(2)
        for gone in (running, waiting):
            gone.cancel()
        assert [type(asker.outcomes[number]) for number in (0, 1)] == [Gone, Gone]
        model.gate.set()
        await asker.until(2)
        assert [array[0, 0] for array in model.asked] == [0, 2]

    play(scene)


def test_a_remote_model_has_several_batches_under_way() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        far = Far()
        asker = Asker(make(far, threads, concurrency=2, max_batch=2))
        for number in range(5):
            asker.ask(number, deadline=FAR + number)
        await asyncio.sleep(0)
        assert [(len(feed["x"]), until) for feed, until, _ in far.started] == [(2, FAR + 1), (2, FAR + 3)]
        far.answer(1)
        assert asker.ended == [2, 3]
        assert len(far.started) == 3
        far.answer(2)
        far.answer(0)
        asker.right(*range(5))

    play(scene)


def test_a_remote_batch_that_is_refused_is_asked_one_by_one_in_its_place() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        far = Far()
        asker = Asker(make(far, threads, max_batch=2))
        for number in (1, 2, 3):
            asker.ask(number)
        await asyncio.sleep(0)
        far.started[0][2](BadRequest("no"))
        far.answer(1)
        far.started[2][2](ModelFailed("no, still"))
        far.answer(3)
        assert asker.ended == [1, 2, 3]
        asker.right(1, 3)
        assert str(asker.outcomes[2]) == "no, still"

    play(scene)


def test_a_replica_that_dies_takes_its_batch_with_it_once() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        far = Far()
        asker = Asker(make(far, threads, max_batch=2))
        for number in (1, 2, 3):
            asker.ask(number)
        await asyncio.sleep(0)
        far.started[0][2](ReplicaLost("it died"))
        assert [str(asker.outcomes[number]) for number in (1, 2)] == ["it died"] * 2
        far.answer(1)
        asker.right(3)

    play(scene)


def test_a_thousand_calls_that_do_not_fit_together_end_soon() -> None:
    async def scene(threads: ThreadPoolExecutor) -> None:
        model = Double()
        shape = interface([spec("x", [-1, -1])])
        batcher = make(model, threads, shape, max_batch=64)
        ends: list[Any] = []
        for width in range(2000):
            batcher.submit(Call({"x": np.zeros((1, 1 + width // 2), "f4")}, ["y"]), FAR, ends.append)
        await asyncio.sleep(0)
        assert len(ends) == 2000
        assert batcher.batches == 1000

    play(scene)


# ---- which models may be batched


def trial(shape: Interface, run: Callable[[Array], Any], sample: Array | None = None) -> bool:
    feed = None if sample is None else {"x": sample}
    return rowwise(shape, lambda _, feed: [np.asarray(run(feed["x"]))], feed)


def test_rows_that_know_of_each_other_are_found_out() -> None:
    shape = interface()
    assert trial(shape, lambda x: x * 2)
    assert trial(shape, lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))
    assert not trial(shape, lambda x: x - x.mean(axis=0))
    assert not trial(shape, lambda x: np.cumsum(x, axis=0))
    assert not trial(shape, lambda x: x[::-1])
    assert not trial(shape, lambda x: x.sum())
    assert not trial(shape, lambda x: x[:1])
    assert not trial(shape, lambda x: x * np.random.default_rng().normal())


def test_a_model_that_fails_in_the_trial_gets_no_batches_unless_a_sample_helps() -> None:
    def picky(x: Array) -> Array:
        if x.shape[1] != 7:
            raise ValueError
        return x

    shape = interface([spec("x", [-1, -1])], [spec("y", [-1, -1])])
    assert not trial(shape, picky)
    assert trial(shape, picky, np.ones((2, 7), "f4"))
    words = interface([spec("x", [-1, 3], "INT64")], [spec("y", [-1, 3])])
    table = np.arange(5.0)
    assert trial(words, lambda x: table[x])
    texts = interface([spec("x", [-1, 1], "BYTES")], [spec("y", [-1, 1])])
    assert trial(texts, lambda x: np.array([[len(text)] for text in x.ravel()], "f4"))
