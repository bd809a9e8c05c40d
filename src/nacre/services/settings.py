"""What an administrator sets for the whole server."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.tables.users import SettingRow
from nacre.domain.identity import Caller
from nacre.schema.users import Settings, SettingsUpdate, SignUpPolicy
from nacre.services.events import Events

_SIGN_UP = "sign_up"


class ServerSettings:
    """Settings are rows of text; what was never set has its default: sign-up is closed."""

    def __init__(self, db: Database, events: Events) -> None:
        self._db = db
        self._events = events

    def get(self) -> Settings:
        """The settings as they are."""
        with self._db.read() as session:
            return Settings(sign_up=sign_up_policy(session))

    def update(self, caller: Caller, change: SettingsUpdate) -> Settings:
        """Change what is not null."""
        with self._db.write() as session:
            if change.sign_up is not None:
                write_setting(session, _SIGN_UP, change.sign_up.value)
                self._events.add(
                    session, None, caller.user_id, "settings.update", _SIGN_UP, value=change.sign_up.value
                )
            return Settings(sign_up=sign_up_policy(session))


def sign_up_policy(session: Session) -> SignUpPolicy:
    """Who may make an account."""
    return SignUpPolicy(read_setting(session, _SIGN_UP) or SignUpPolicy.CLOSED.value)


def read_setting(session: Session, key: str) -> str | None:
    """One setting's text; null when it was never set."""
    return session.execute(select(SettingRow.value).where(SettingRow.key == key)).scalar_one_or_none()


def write_setting(session: Session, key: str, value: str) -> None:
    """Set one setting's text."""
    upsert = text(
        "INSERT INTO settings (key, value) VALUES (:key, :value) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )
    session.execute(upsert, {"key": key, "value": value})
