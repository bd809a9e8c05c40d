"""MLflow's filters and orders, such as ``metrics.loss < 0.1 and params.`lr` = '0.01'``, as data.

A filter is comparisons joined by AND. On the left stands ``metrics.KEY``, ``params.KEY``, ``tags.KEY``,
``datasets.KEY``, or an attribute with or without ``attributes.`` before it; a key with spaces or other odd
characters is quoted with backticks or double quotes. Numbers are bare, texts are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from nacre.errors import InvalidSpec


class Kind(StrEnum):
    """What a comparison looks at."""

    METRIC = "metric"
    PARAM = "param"
    TAG = "tag"
    ATTRIBUTE = "attribute"
    DATASET = "dataset"


_KINDS = {
    **dict.fromkeys(("metric", "metrics"), Kind.METRIC),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), Kind.PARAM),
    **dict.fromkeys(("tag", "tags"), Kind.TAG),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), Kind.ATTRIBUTE),
    **dict.fromkeys(("dataset", "datasets"), Kind.DATASET),
}

Value = str | int | float | tuple[str, ...] | None


@dataclass(frozen=True)
class Comparison:
    """``operator`` is one of ``= != < <= > >=``, ``LIKE``, ``ILIKE``, ``IN``, ``NOT IN`` (the value is a
    tuple), ``IS NULL`` and ``IS NOT NULL`` (the value is null)."""

    kind: Kind
    key: str
    operator: str
    value: Value


@dataclass(frozen=True)
class Order:
    """One term of an order."""

    kind: Kind
    key: str
    ascending: bool = True


@dataclass(frozen=True)
class Grammar:
    """What may be named. ``texts`` and ``numbers`` are attributes, ``listed`` those of them that ``IN``
    takes; ``aliases`` are other names of attributes; ``equal`` are texts that may only be the same or not.
    """

    kinds: frozenset[Kind]
    texts: frozenset[str]
    numbers: frozenset[str]
    listed: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    equal: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


RUNS = Grammar(
    kinds=frozenset(Kind),
    texts=frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    numbers=frozenset({"start_time", "end_time"}),
    listed=frozenset({"run_id", "status", "run_name"}),
    datasets=frozenset({"name", "digest", "context"}),
    aliases={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
        "name": "run_name",
        "user": "user_id",
        "state": "status",
    },
)

EXPERIMENTS = Grammar(
    kinds=frozenset({Kind.TAG, Kind.ATTRIBUTE}),
    texts=frozenset({"name", "experiment_id"}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    listed=frozenset({"experiment_id"}),
    equal=frozenset({"experiment_id"}),
)

_NUMERIC = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXTUAL = frozenset({"=", "!=", "LIKE", "ILIKE"})
_NULLS = frozenset({"IS NULL", "IS NOT NULL"})
_LISTS = frozenset({"IN", "NOT IN"})
_SAME = frozenset({"=", "!="})

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<operator><=|>=|!=|<>|==|=|<|>)
    | (?P<mark>[(),])
    | (?P<word>[^\s'"`()<>=!,]+)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """Tokens of one clause, and the place where reading is."""

    def __init__(self, source: str, what: str) -> None:
        self.source = source
        self.what = what
        self.at = 0
        self.tokens: list[_Token] = []
        place, end = 0, len(source.rstrip())
        while place < end:
            match = _TOKEN.match(source, place)
            if match is None:
                start = place + len(source[place:]) - len(source[place:].lstrip())
                self.fail("this cannot be read (an open quote?)", start)
            kind = match.lastgroup or ""
            self.tokens.append(_Token(kind, match.group(kind), match.start(kind), match.end(kind)))
            place = match.end()

    def fail(self, why: str, place: int | None = None) -> NoReturn:
        """Refuse the clause because of what stands at ``place`` (by default: at the next token)."""
        if place is None:
            place = self.tokens[self.at].start if self.at < len(self.tokens) else len(self.source)
        near = self.source[place : place + 30]
        where = f"at character {place + 1}: {near!r}" if near.strip() else "at its end"
        raise InvalidSpec(
            f"Invalid {self.what} {self.source[:200]!r}: {why}, {where}", field=self.what, at=place
        )

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, why: str) -> _Token:
        if (token := self.peek()) is None:
            self.fail(why)
        self.at += 1
        return token

    def word(self, *words: str) -> bool:
        """Whether the next token is one of these keywords; if so, it is taken."""
        token = self.peek()
        if token is None or token.kind != "word" or token.text.upper() not in words:
            return False
        self.at += 1
        return True


def parse_filter(text: str | None, grammar: Grammar = RUNS) -> tuple[Comparison, ...]:
    """The comparisons of a filter; none of an empty one.

    Raises:
        InvalidSpec: it does not parse; the sentence and ``extra["at"]`` say where.
    """
    if text is None or not text.strip():
        return ()
    reader = _Reader(text, "filter")
    found = [_comparison(reader, grammar)]
    while reader.peek() is not None:
        if not reader.word("AND"):
            reader.fail("expected AND (OR and parentheses around comparisons are not part of the language)")
        found.append(_comparison(reader, grammar))
    return tuple(found)


def parse_order(clauses: Sequence[str], grammar: Grammar = RUNS) -> tuple[Order, ...]:
    """The terms of an order, such as ``["metrics.loss ASC", "start_time DESC"]``.

    Raises:
        InvalidSpec: one does not parse, or a field comes twice.
    """
    found: list[Order] = []
    for clause in clauses:
        reader = _Reader(clause, "order_by")
        kind, key = _identifier(reader, grammar)
        if kind is Kind.DATASET:
            reader.fail("runs cannot be sorted by data sets", 0)
        ascending = not reader.word("DESC")
        if ascending:
            reader.word("ASC")
        if reader.peek() is not None:
            reader.fail("expected ASC or DESC and nothing more")
        if any((order.kind, order.key) == (kind, key) for order in found):
            raise InvalidSpec(f"Invalid order_by: duplicate field {clause!r}", field="order_by")
        found.append(Order(kind, key, ascending))
    return tuple(found)


def _identifier(reader: _Reader, grammar: Grammar) -> tuple[Kind, str]:
    token = reader.take("expected a name such as metrics.loss")
    if token.kind == "quoted":
        parts = [unquoted(token.text)]
        following = reader.peek()
        if following is not None and following.start == token.end and following.text.startswith("."):
            reader.at += 1
            parts.append(following.text[1:])
    elif token.kind == "word":
        parts = token.text.split(".", 1)
    else:
        reader.fail("expected a name such as metrics.loss", token.start)
    if len(parts) == 2 and not parts[1]:
        key = reader.take("a key is missing after the dot")
        if key.kind not in ("quoted", "text") or key.start != reader.tokens[reader.at - 2].end:
            reader.fail("a key is missing after the dot", key.start)
        parts[1] = unquoted(key.text)
    if len(parts) == 1:
        return Kind.ATTRIBUTE, _attribute(reader, grammar, parts[0], token.start)
    kind = _KINDS.get(parts[0])
    if kind is None or kind not in grammar.kinds:
        known = ", ".join(sorted(k.value for k in grammar.kinds))
        reader.fail(f"Invalid entity type {parts[0]!r}, use one of {known}", token.start)
    key_text = parts[1]
    if kind is Kind.ATTRIBUTE:
        key_text = _attribute(reader, grammar, key_text, token.start)
    elif kind is Kind.DATASET and key_text not in grammar.datasets:
        known = ", ".join(sorted(grammar.datasets))
        reader.fail(f"Invalid dataset key {key_text!r}, use one of {known}", token.start)
    return kind, key_text


def _attribute(reader: _Reader, grammar: Grammar, key: str, place: int) -> str:
    key = grammar.aliases.get(key, key)
    if key not in grammar.texts and key not in grammar.numbers:
        known = ", ".join(sorted(grammar.texts | grammar.numbers))
        reader.fail(f"Invalid attribute key {key!r}, use one of {known}", place)
    return key


def _comparison(reader: _Reader, grammar: Grammar) -> Comparison:
    kind, key = _identifier(reader, grammar)
    place = reader.peek()
    operator = _operator(reader)
    allowed = _allowed(kind, key, grammar)
    if operator not in allowed:
        known = ", ".join(sorted(allowed))
        reader.fail(f"Invalid comparator {operator!r}, use one of {known}", place.start if place else None)
    if operator in _NULLS:
        return Comparison(kind, key, operator, None)
    if operator in _LISTS:
        return Comparison(kind, key, operator, _list(reader))
    if kind is Kind.METRIC or (kind is Kind.ATTRIBUTE and key in grammar.numbers):
        return Comparison(kind, key, operator, _number(reader, kind))
    token = reader.take("expected a quoted text")
    if token.kind not in ("text", "quoted") or token.text.startswith("`"):
        reader.fail("expected a quoted text such as 'my-value'", token.start)
    return Comparison(kind, key, operator, unquoted(token.text))


def _allowed(kind: Kind, key: str, grammar: Grammar) -> frozenset[str]:
    if kind is Kind.METRIC or (kind is Kind.ATTRIBUTE and key in grammar.numbers):
        return _NUMERIC
    if kind in (Kind.PARAM, Kind.TAG):
        return _TEXTUAL | _NULLS
    if kind is Kind.DATASET:
        return _TEXTUAL | _LISTS
    plain = _SAME if key in grammar.equal else _TEXTUAL
    return plain | _LISTS if key in grammar.listed else plain


def _operator(reader: _Reader) -> str:
    token = reader.take("expected a comparison such as = or LIKE")
    if token.kind == "operator":
        return token.text
    word = token.text.upper() if token.kind == "word" else ""
    if word in ("LIKE", "ILIKE", "IN"):
        return word
    if word == "NOT" and reader.word("IN"):
        return "NOT IN"
    negative = word == "IS" and reader.word("NOT")
    if word != "IS" or not reader.word("NULL"):
        reader.fail("expected a comparison such as = or LIKE", token.start)
    return "IS NOT NULL" if negative else "IS NULL"


def _number(reader: _Reader, kind: Kind) -> int | float:
    token = reader.take("expected a number")
    if token.kind != "number":
        reader.fail(f"expected a number for a numeric {kind}", token.start)
    try:
        number: int | float = int(token.text)
    except ValueError:
        return float(token.text)
    return number if -(2**63) <= number < 2**63 else float(number)


def _list(reader: _Reader) -> tuple[str, ...]:
    why = "expected a list of quoted texts such as ('a', 'b')"
    if reader.take(why).text != "(":
        reader.fail(why, reader.tokens[reader.at - 1].start)
    values: list[str] = []
    while True:
        token = reader.take(why)
        if token.kind not in ("text", "quoted"):
            reader.fail(why, token.start)
        values.append(unquoted(token.text))
        mark = reader.take(why)
        if mark.text == ")":
            return tuple(values)
        if mark.text != ",":
            reader.fail(why, mark.start)
        if (after := reader.peek()) is not None and after.text == ")":  # as Python writes ('a',)
            reader.at += 1
            return tuple(values)


def unquoted(text: str) -> str:
    """The text without its quotes, and each doubled quote inside as one."""
    mark = text[0]
    return text[1:-1] if mark == "`" else text[1:-1].replace(mark * 2, mark)
