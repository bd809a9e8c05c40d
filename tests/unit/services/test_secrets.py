"""Secrets: sealed, given out to work only, never shown."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import select
from tests.conftest import People
from tests.identity_kit import Identity, wire

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import EventRow, SecretRow
from nacre.errors import InternalError, InvalidSpec, NotFound, Unavailable
from nacre.schema.projects import SecretSet
from nacre.services.secrets import KEY_BYTES, Secrets, read_key

VALUE = "hf_s3cr3t-välue"


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


def body(value: str = VALUE, kind: Literal["variable", "file"] = "variable") -> SecretSet:
    return SecretSet.model_validate({"value": value, "kind": kind})


class TestSecrets:
    def test_reveal_gives_variables_and_files(self, identity: Identity, people: People) -> None:
        identity.secrets.set(people.editor, "HF_TOKEN", body())
        identity.secrets.set(people.editor, "key.pem", body("---\nkey\n", "file"))
        variables, files = identity.secrets.reveal(people.project.id, ["key.pem", "HF_TOKEN"])
        assert variables == {"HF_TOKEN": VALUE}
        assert files == {"key.pem": "---\nkey\n"}

    def test_the_value_is_nowhere_else(self, identity: Identity, people: People) -> None:
        made = identity.secrets.set(people.editor, "HF_TOKEN", body())
        with identity.db.read() as session:
            [row] = session.execute(select(SecretRow)).scalars()
            events = [(e.verb, e.subject, e.detail) for e in session.execute(select(EventRow)).scalars()]
        assert VALUE.encode() not in row.sealed
        assert events == [("secrets.set", "HF_TOKEN", {"kind": "variable"})]
        shown = [repr(body()), str(body()), repr(made), made.model_dump_json(), repr(identity.secrets)]
        shown += [identity.secrets.list(people.viewer).model_dump_json(), str(vars(row)), str(events)]
        assert all("s3cr3t" not in text for text in shown)

    def test_a_new_value_replaces_the_old(self, identity: Identity, people: People) -> None:
        first = identity.secrets.set(people.editor, "TOKEN", body("one"))
        identity.clock.advance(5)
        second = identity.secrets.set(people.editor, "TOKEN", body("two"))
        assert second.created_at == first.created_at
        assert second.updated_at > first.updated_at
        assert identity.secrets.reveal(people.project.id, ["TOKEN"])[0] == {"TOKEN": "two"}

    def test_the_same_value_is_sealed_differently(self, identity: Identity, people: People) -> None:
        for name in ("A", "B"):
            identity.secrets.set(people.editor, name, body())
        with identity.db.read() as session:
            first, second = session.execute(select(SecretRow.sealed)).scalars()
        assert first != second

    def test_missing_ones_are_named(self, identity: Identity, people: People) -> None:
        identity.secrets.set(people.editor, "TOKEN", body())
        with pytest.raises(
            NotFound, match="there is no secret OTHER: set it with 'nacre secret set OTHER'"
        ):
            identity.secrets.reveal(people.project.id, ["TOKEN", "OTHER"])
        with pytest.raises(NotFound, match="TOKEN"):
            identity.secrets.reveal("prj_other", ["TOKEN"])
        with pytest.raises(NotFound, match="nacre secret ls"):
            identity.secrets.delete(people.editor, "OTHER")

    def test_none_asked_none_given(self, identity: Identity, people: People) -> None:
        assert identity.secrets.reveal(people.project.id, []) == ({}, {})

    def test_deleted_is_gone(self, identity: Identity, people: People) -> None:
        identity.secrets.set(people.editor, "TOKEN", body())
        identity.secrets.delete(people.editor, "TOKEN")
        assert identity.secrets.list(people.viewer).items == []
        with pytest.raises(NotFound):
            identity.secrets.reveal(people.project.id, ["TOKEN"])

    @pytest.mark.parametrize(
        ("name", "kind", "fits"),
        [
            ("HF_TOKEN", "variable", True),
            ("_x1", "variable", True),
            ("a" * 64, "variable", True),
            ("a" * 65, "variable", False),
            ("1X", "variable", False),
            ("A-B", "variable", False),
            ("A=B", "variable", False),
            ("A\n", "variable", False),
            ("NACRE_TOKEN", "variable", False),
            ("nacre_x", "variable", False),
            ("id_ed25519", "file", True),
            ("key.pem", "file", True),
            ("..", "file", False),
            (".ssh", "file", False),
            ("a/b", "file", False),
            ("../x", "file", False),
            ("", "file", False),
        ],
    )
    def test_names(
        self,
        identity: Identity,
        people: People,
        name: str,
        kind: Literal["variable", "file"],
        fits: bool,
    ) -> None:
        if fits:
            assert identity.secrets.set(people.editor, name, body(kind=kind)).name == name
        else:
            with pytest.raises(InvalidSpec, match="cannot name this secret") as caught:
                identity.secrets.set(people.editor, name, body(kind=kind))
            assert VALUE not in str(caught.value.problem())

    def test_a_variable_holds_no_zero_byte(self, identity: Identity, people: People) -> None:
        with pytest.raises(InvalidSpec, match="--file"):
            identity.secrets.set(people.editor, "X", body("a\0b"))
        identity.secrets.set(people.editor, "X", body("a\0b", "file"))
        assert identity.secrets.reveal(people.project.id, ["X"])[1] == {"X": "a\0b"}


class TestSealing:
    def test_with_another_key_nothing_opens(self, identity: Identity, people: People) -> None:
        identity.secrets.set(people.editor, "TOKEN", body())
        other = Secrets(identity.db, identity.clock, identity.events, os.urandom(KEY_BYTES))
        with pytest.raises(Unavailable, match="does not open with this server's key"):
            other.reveal(people.project.id, ["TOKEN"])

    @pytest.mark.parametrize("harm", ["moved", "flipped", "cut"])
    def test_a_row_that_was_tampered_with_does_not_open(
        self, identity: Identity, people: People, harm: str
    ) -> None:
        identity.secrets.set(people.editor, "MINE", body("mine"))
        identity.secrets.set(people.editor, "YOURS", body("yours"))
        with identity.db.write() as session:
            mine = session.get_one(SecretRow, (people.project.id, "MINE"))
            yours = session.get_one(SecretRow, (people.project.id, "YOURS"))
            sealed = {
                "moved": yours.sealed,
                "flipped": mine.sealed[:-1] + bytes([mine.sealed[-1] ^ 1]),
                "cut": mine.sealed[:5],
            }
            mine.sealed = sealed[harm]
        with pytest.raises(Unavailable, match="MINE"):
            identity.secrets.reveal(people.project.id, ["MINE"])

    def test_the_key_has_its_length(self, identity: Identity) -> None:
        with pytest.raises(InternalError, match="16 bytes instead of 32"):
            Secrets(identity.db, identity.clock, identity.events, b"x" * 16)


class TestKeyFile:
    def test_made_once_private_and_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "secrets.key"
        key = read_key(path)
        assert len(key) == KEY_BYTES
        assert path.stat().st_mode & 0o777 == 0o600
        assert read_key(path) == key
        assert [p.name for p in tmp_path.iterdir()] == ["secrets.key"]

    @pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(b"short"), b"\xff\xfe"])
    def test_a_broken_file_is_named_and_left_alone(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "secrets.key"
        path.write_bytes(content)
        with pytest.raises(Unavailable, match=r"secrets\.key does not hold a key"):
            read_key(path)
        assert path.read_bytes() == content
