"""The database port of everything: transactions, isolation, both kinds."""

import pytest
from sqlalchemy import text

from nacre.db.connect import Database


class TestDatabase:
    def test_write_commits_and_a_failed_write_leaves_nothing(self, database: Database) -> None:
        with database.write() as session:
            session.execute(text("INSERT INTO settings (key, value) VALUES ('a', '1')"))

        def fail() -> None:
            with database.write() as session:
                session.execute(text("INSERT INTO settings (key, value) VALUES ('b', '1')"))
                raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError, match="in the middle"):
            fail()
        with database.read() as session:
            assert session.execute(text("SELECT key FROM settings")).scalars().all() == ["a"]

    def test_a_reader_changes_nothing(self, database: Database) -> None:
        with database.read() as session:
            session.execute(text("INSERT INTO settings (key, value) VALUES ('a', '1')"))
        with database.read() as session:
            assert session.execute(text("SELECT count(*) FROM settings")).scalar() == 0
