"""Buckets of tokens, and of workers that share them."""

from __future__ import annotations

import os

import pytest

from nacre.modelserver.rates import Rates, shared

KEY = "ab" * 32


def test_a_bucket_fills_up_to_its_burst() -> None:
    bucket = Rates().bucket(KEY, rate=2.0, burst=3.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(100.4) == pytest.approx(0.1)
    assert bucket.take(100.5) == 0.0
    assert [bucket.take(1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_workers_share_a_bucket_and_tokens_do_not() -> None:
    descriptor = shared()
    try:
        one, other = Rates(descriptor), Rates(descriptor)
    finally:
        os.close(descriptor)
    ours, theirs = (rates.bucket(KEY, rate=1.0, burst=2.0) for rates in (one, other))
    assert [ours.take(5.0), theirs.take(5.0), ours.take(5.0), theirs.take(5.0)] == [0.0, 0.0, 1.0, 1.0]
    assert other.bucket("cd" * 32, rate=1.0, burst=2.0).take(5.0) == 0.0


def test_every_one_of_many_tokens_has_its_own() -> None:
    rates = Rates()
    # All of them would lie in the same place, and some find none near it.
    keys = [(8192 * number << 8 * 24).to_bytes(32, "big").hex() for number in range(1, 100)]
    buckets = [rates.bucket(key, rate=1.0, burst=1.0) for key in keys]
    assert [bucket.take(1.0) for bucket in buckets] == [0.0] * 99
    assert [bucket.take(1.0) for bucket in buckets] == [1.0] * 99
