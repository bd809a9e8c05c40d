"""Which metric is to be small or great, which run is best, what differs; which columns are wanted."""

from __future__ import annotations

import math

import pytest

from nacre.domain.comparing import best, differs, goal, kind_of
from nacre.domain.run_columns import Columns, Keys, parse_columns
from nacre.errors import InvalidSpec


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("loss", "min"),
        ("val/loss", "min"),
        ("test_rmse", "min"),
        ("val_accuracy", "max"),
        ("top1", "max"),
        ("F1-score", "max"),
        ("loss_scale_accuracy", "max"),
        ("glossary", None),
        ("epoch", None),
        ("lr", None),
    ],
)
def test_the_name_tells_what_a_metric_is_for(key: str, wanted: str | None) -> None:
    assert goal(key) == wanted


def test_nan_and_nothing_are_never_the_best_and_the_first_of_equals_is() -> None:
    values = [math.nan, None, 2.0, 1.0, 1.0, 2.0]
    assert best(values, "min") == 3
    assert best(values, "max") == 2
    assert best(values, None) is None
    assert best([None, math.nan], "min") is None


def test_nan_is_the_same_as_nan() -> None:
    assert not differs([math.nan, math.nan])
    assert differs([math.nan, 1.0])
    assert differs(["1", None])
    assert not differs([None, None])


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [("1e-3", "7", "number"), ("False", "true", "boolean"), ("1", "x", "text"), ("", "", "text")],
)
def test_the_type_of_texts(low: str, high: str, kind: str) -> None:
    assert kind_of(low, high) == kind


class TestColumns:
    def test_names_go_to_the_database_and_patterns_are_picked_afterwards(self) -> None:
        found = parse_columns(["metrics.loss", "params.opt*", "param.lr", 'tags."a b"', "attributes.state"])
        assert found.metrics.names == ["loss"]
        assert found.params.names is None
        assert found.params.pick(["optimizer", "lr", "x"]) == ["optimizer", "lr"]
        assert found.tags.names == ["a b"]

    def test_no_choice_is_everything_and_an_empty_one_nothing(self) -> None:
        assert parse_columns(None) == Columns()
        assert Keys().pick(["a"]) == ["a"]
        assert parse_columns([]).params.none

    @pytest.mark.parametrize("word", ["speed", "metrics.", "colour.x"])
    def test_another_word_is_refused(self, word: str) -> None:
        with pytest.raises(InvalidSpec, match="no column"):
            parse_columns([word])
