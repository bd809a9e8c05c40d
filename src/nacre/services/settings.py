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
_TRASH_DAYS = "trash_days"
_TRASH_DAYS_AT_FIRST = 30


class ServerSettings:
    """Settings are rows of text; what was never set has its default: sign-up is closed, the trash is kept
    30 days."""

    def __init__(self, db: Database, events: Events) -> None:
        self._db = db
        self._events = events

    def get(self) -> Settings:
        """The settings as they are."""
        with self._db.read() as session:
            return _settings(session)

    def update(self, caller: Caller, change: SettingsUpdate) -> Settings:
        """Change what is not null."""
        with self._db.write() as session:
            if change.sign_up is not None:
                write_setting(session, _SIGN_UP, change.sign_up.value)
                self._events.add(
                    session, None, caller.user_id, "settings.update", _SIGN_UP, value=change.sign_up.value
                )
            if change.trash_days is not None:
                write_setting(session, _TRASH_DAYS, str(change.trash_days))
                self._events.add(
                    session, None, caller.user_id, "settings.update", _TRASH_DAYS, value=change.trash_days
                )
            return _settings(session)


def _settings(session: Session) -> Settings:
    days = read_setting(session, _TRASH_DAYS)
    return Settings(
        sign_up=sign_up_policy(session), trash_days=_TRASH_DAYS_AT_FIRST if days is None else int(days)
    )


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
