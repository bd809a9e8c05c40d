"""Control loops: woken by signals, never ended by an exception, stopped when asked."""

import threading

import pytest

from nacre.control.loop import Loop, LoopThread
from nacre.services.signals import Signals


class Counting(Loop):
    name = "counting"
    topics = ("jobs",)
    interval_s = 600.0

    def __init__(self, failures: int = 0) -> None:
        self.passes = 0
        self.failures = failures
        self.done = threading.Condition()

    def run_once(self) -> None:
        with self.done:
            self.passes += 1
            self.done.notify_all()
        if self.passes <= self.failures:
            raise RuntimeError("once")

    def wait_for(self, passes: int) -> bool:
        with self.done:
            return self.done.wait_for(lambda: self.passes >= passes, timeout=10)


class TestLoopThread:
    def test_it_runs_at_once_and_on_each_signal(self) -> None:
        loop, signals = Counting(), Signals()
        thread = LoopThread(loop, signals)
        thread.start()
        try:
            assert loop.wait_for(1)
            signals.notify("other")
            signals.notify("jobs")
            assert loop.wait_for(2)
        finally:
            assert thread.stop()
        assert loop.passes == 2

    def test_an_exception_does_not_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        loop = Counting(failures=1)
        thread = LoopThread(loop, Signals())
        thread.start()
        try:
            assert loop.wait_for(2)
        finally:
            assert thread.stop()
        assert "counting failed" in caplog.text
