"""Prices: a file that the owner edits while the server runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.errors import InvalidSpec, NotFound, Unavailable
from nacre.ports.engines import NodeFacts
from nacre.schema.resources import Resources
from nacre.services.nodes import fits
from nacre.services.prices import Prices

GIB = 2**30


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    return Prices(tmp_path / "prices.toml")


def edit(prices: Prices, old: str, new: str) -> None:
    text = prices.file.read_text()
    assert old in text
    fresh = prices.file.with_suffix(".new")
    fresh.write_text(text.replace(old, new))
    os.replace(fresh, prices.file)


class TestDefaults:
    def test_the_file_is_written_with_comments(self, prices: Prices) -> None:
        assert prices.file.read_text().startswith("# What work on this machine costs")
        assert prices.currency == "USD"
        assert prices.problem is None

    def test_named_shapes(self, prices: Prices) -> None:
        shapes = {t.name: (t.cpu, t.memory, t.gpu) for t in prices.types()}
        assert shapes == {
            "cpu.small": (1, 2 * GIB, 0),
            "cpu.medium": (2, 4 * GIB, 0),
            "cpu.large": (4, 16 * GIB, 0),
            "gpu.small": (4, 16 * GIB, 1),
            "gpu.large": (16, 64 * GIB, 4),
        }

    def test_a_shape_costs_what_its_resources_cost(self, prices: Prices) -> None:
        found = prices.type("cpu.small")
        assert found.price_per_hour == 26_000
        assert found.price_per_hour == prices.per_hour(Resources(cpu=1, memory=2 * GIB))

    def test_an_unknown_shape_names_those_that_there_are(self, prices: Prices) -> None:
        with pytest.raises(NotFound, match=r"cpu\.small, cpu\.medium"):
            prices.type("cpu.tiny")

    def test_the_owners_file_is_left_alone(self, prices: Prices) -> None:
        edit(prices, "cpu = 0.02 ", "cpu = 0.05 ")
        assert Prices(prices.file).type("cpu.small").price_per_hour == 56_000


class TestEdits:
    def test_a_change_counts_at_once(self, prices: Prices) -> None:
        edit(prices, 'currency = "USD"', 'currency = "EUR"')
        assert prices.currency == "EUR"
        assert prices.type("cpu.small").currency == "EUR"

    def test_a_type_may_have_a_price_of_its_own(self, prices: Prices) -> None:
        edit(prices, '[types."cpu.small"]', '[types."cpu.small"]\nprice = 0.1')
        assert prices.type("cpu.small").price_per_hour == 100_000
        assert prices.type("cpu.medium").price_per_hour == 52_000

    def test_a_kind_of_gpu_may_have_a_rate_of_its_own(self, prices: Prices) -> None:
        edit(prices, '# "NVIDIA H200"', '"NVIDIA H200"')
        wanted = Resources(cpu=1, memory=GIB, gpu=1, gpu_name="H200")
        assert prices.per_hour(wanted) == 3_523_000

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("cpu = 0.02 ", "cpu = = ", "is not TOML"),
            ("cpu = 0.02 ", "cpu = -1 ", r"rates\.cpu"),
            ("cpu = 0.02 ", "cpus = 1 ", r"rates\.cpu"),
            ('memory = "2GB"', 'memory = "2 apples"', "is not a size"),
            ('currency = "USD"', "", "currency"),
            ('"cpu.small"', '"CPU Small"', "is not a name"),
        ],
    )
    def test_after_a_mistake_the_last_good_prices_stay(
        self, prices: Prices, old: str, new: str, said: str
    ) -> None:
        edit(prices, old, new)
        assert prices.type("cpu.small").price_per_hour == 26_000
        assert prices.problem is not None
        assert "the prices from before stay" in prices.problem
        with pytest.raises(InvalidSpec, match=said):
            Prices(prices.file)
        edit(prices, new if new else "[rates]", old if new else old + "\n[rates]")
        assert prices.type("cpu.small").price_per_hour == 26_000
        assert prices.problem is None

    def test_without_the_file_the_last_good_prices_stay(self, prices: Prices) -> None:
        prices.file.unlink()
        assert prices.currency == "USD"
        assert prices.problem is not None

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match="cannot write"):
            Prices(tmp_path / "absent" / "prices.toml")


class TestFits:
    @pytest.mark.parametrize(
        ("facts", "shape", "expected"),
        [
            (NodeFacts("n", 4, 16 * GIB), "cpu.large", True),
            (NodeFacts("n", 3, 16 * GIB), "cpu.large", False),
            (NodeFacts("n", 4, 15 * GIB), "cpu.large", False),
            (NodeFacts("n", 8, 32 * GIB), "gpu.small", False),
            (NodeFacts("n", 8, 32 * GIB, ["A10"]), "gpu.small", True),
        ],
    )
    def test_a_shape_on_an_empty_machine(
        self, prices: Prices, facts: NodeFacts, shape: str, expected: bool
    ) -> None:
        assert fits(prices.type(shape), facts) is expected

    def test_the_kind_of_gpu_counts(self, prices: Prices) -> None:
        shape = prices.type("gpu.small").model_copy(update={"gpu_name": "H200"})
        assert not fits(shape, NodeFacts("n", 8, 32 * GIB, ["A10"]))
        assert fits(shape, NodeFacts("n", 8, 32 * GIB, ["NVIDIA H200"]))
