"""Filters of runs: MLflow's language, and where a text leaves it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nacre.domain.run_filter import EXPERIMENTS, Comparison, Kind, Order, parse_filter, parse_order
from nacre.errors import InvalidSpec

M, P, T, A, D = Kind.METRIC, Kind.PARAM, Kind.TAG, Kind.ATTRIBUTE, Kind.DATASET


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("   ", ()),
        ("metrics.loss < 0.5", (Comparison(M, "loss", "<", 0.5),)),
        ("metric.loss>=-1e-3", (Comparison(M, "loss", ">=", -0.001),)),
        ("metrics.`a b` = 3", (Comparison(M, "a b", "=", 3),)),
        ('metrics."val/acc é" != .5', (Comparison(M, "val/acc é", "!=", 0.5),)),
        ("`metrics`.x > 1", (Comparison(M, "x", ">", 1),)),
        ("params.lr = '0.1'", (Comparison(P, "lr", "=", "0.1"),)),
        ('parameters.lr LIKE "0.%"', (Comparison(P, "lr", "LIKE", "0.%"),)),
        ("tags.mlflow.runName ilike 'A%'", (Comparison(T, "mlflow.runName", "ILIKE", "A%"),)),
        ("tag.x IS NULL", (Comparison(T, "x", "IS NULL", None),)),
        ("params.x is not null", (Comparison(P, "x", "IS NOT NULL", None),)),
        ("status = 'FINISHED'", (Comparison(A, "status", "=", "FINISHED"),)),
        ("attr.created > 5", (Comparison(A, "start_time", ">", 5),)),
        ("attributes.`Run Name` = 'a'", (Comparison(A, "run_name", "=", "a"),)),
        ("run_id IN ('a', \"b\")", (Comparison(A, "run_id", "IN", ("a", "b")),)),
        ("run_id NOT IN ('a',)", (Comparison(A, "run_id", "NOT IN", ("a",)),)),
        ("datasets.name = 'mnist'", (Comparison(D, "name", "=", "mnist"),)),
        ("params.x = 'it''s AND'", (Comparison(P, "x", "=", "it's AND"),)),
        (
            "metrics.a > 1 and params.b = 'c' AND tags.d != ''",
            (Comparison(M, "a", ">", 1), Comparison(P, "b", "=", "c"), Comparison(T, "d", "!=", "")),
        ),
    ],
)
def test_what_a_filter_means(text: str, expected: tuple[Comparison, ...]) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("metrics.a > 'x'", 13, "expected a number"),
        ("metrics.a >", 12, "expected a number"),
        ("params.a = 3", 12, "quoted text"),
        ("params.a > '3'", 10, "Invalid comparator '>'"),
        ("metrics.a == 3", 11, "Invalid comparator '=='"),
        ("metrics.a LIKE 'x'", 11, "Invalid comparator 'LIKE'"),
        ("metrics.a IS NULL", 11, "Invalid comparator 'IS NULL'"),
        ("moon.a = 'x'", 1, "Invalid entity type 'moon'"),
        ("colour = 'red'", 1, "Invalid attribute key 'colour'"),
        ("datasets.colour = 'red'", 1, "Invalid dataset key 'colour'"),
        ("metrics.a > 1 OR metrics.b > 1", 15, "expected AND"),
        ("metrics.a > 1 metrics.b > 1", 15, "expected AND"),
        ("metrics.a > 1 AND", 18, "expected a name"),
        ("(metrics.a > 1)", 1, "expected a name"),
        ("params.a = 'open", 12, "open quote"),
        ("metrics. > 1", 10, "a key is missing"),
        ("run_id IN 'a'", 11, "expected a list"),
        ("run_id IN ('a' 'b')", 16, "expected a list"),
        ("params.a", 9, "expected a comparison"),
        ("params.a = 'b'; DROP TABLE runs", 15, "expected AND"),
    ],
)
def test_a_filter_that_does_not_parse_says_where_and_why(text: str, place: int, why: str) -> None:
    with pytest.raises(InvalidSpec, match="Invalid filter") as caught:
        parse_filter(text)
    assert why in caught.value.detail
    assert caught.value.extra["at"] + 1 == place
    assert f"character {place}" in caught.value.detail or place > len(text.rstrip())


def test_experiments_have_a_language_of_their_own() -> None:
    found = parse_filter("name LIKE 'a%' and tags.team = 'b' and creation_time > 5", EXPERIMENTS)
    assert [c.key for c in found] == ["name", "team", "creation_time"]
    with pytest.raises(InvalidSpec, match="Invalid entity type 'metrics'"):
        parse_filter("metrics.a > 1", EXPERIMENTS)
    with pytest.raises(InvalidSpec, match="Invalid comparator 'LIKE'"):
        parse_filter("experiment_id LIKE '1%'", EXPERIMENTS)


def test_orders() -> None:
    assert parse_order(["metrics.`a b` DESC", "start_time", "params.x asc", "tags.t desc"]) == (
        Order(M, "a b", ascending=False),
        Order(A, "start_time"),
        Order(P, "x"),
        Order(T, "t", ascending=False),
    )


@pytest.mark.parametrize("clause", ["metrics.a DESK", "", "metrics.a DESC, b", "'x'", "datasets.name"])
def test_an_order_that_does_not_parse_is_refused(clause: str) -> None:
    with pytest.raises(InvalidSpec, match="Invalid order_by"):
        parse_order([clause])


def test_a_field_is_sorted_by_once() -> None:
    with pytest.raises(InvalidSpec, match="duplicate"):
        parse_order(["metrics.a", "metrics.a DESC"])


@given(some.text(max_size=60))
def test_any_text_is_understood_or_refused_with_a_place(text: str) -> None:
    place = 0
    try:
        parse_filter(text)
    except InvalidSpec as error:
        place = error.extra["at"]
    assert 0 <= place <= len(text)


@given(some.text(alphabet=some.characters(exclude_characters="`"), min_size=1), some.text())
def test_every_key_and_text_can_be_said(key: str, value: str) -> None:
    escaped = value.replace("'", "''")
    assert parse_filter(f"params.`{key}` = '{escaped}'") == (Comparison(P, key, "=", value),)
