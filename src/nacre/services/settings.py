"""What an administrator sets for the whole server."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.tables.users import SettingRow
from nacre.domain.identity import Caller
from nacre.schema.users import Reserved, Settings, SettingsUpdate, SignUpPolicy
from nacre.services.events import Events

_SIGN_UP = "sign_up"
_TRASH_DAYS = "trash_days"
_TRASH_DAYS_AT_FIRST = 30
_RESERVED = "reserved"


class ServerSettings:
    """Settings are rows of text. What was never set has its default: the trash is kept 30 days, nothing is
    set aside, and sign-up needs an invitation, except for people at this machine where nobody else can be:
    ``loopback`` says that the server listens on loopback only.
    """

    def __init__(self, db: Database, events: Events, *, loopback: bool = False) -> None:
        self._db = db
        self._events = events
        self._loopback = loopback

    def get(self, *, near: bool = False) -> Settings:
        """The settings as they are for this request; ``near`` as in :meth:`sign_up`."""
        with self._db.read() as session:
            return self._settings(session, near)

    def sign_up(self, session: Session, *, near: bool = False) -> SignUpPolicy:
        """Who may make an account. ``near``: who asks is at this machine, so that the default is open.

        A proxy on this machine makes a loopback listener public, and a page of any site can lead its
        visitors' browsers there: requests that came through either are not near.
        """
        said = read_setting(session, _SIGN_UP)
        if said is not None:
            return SignUpPolicy(said)
        return SignUpPolicy.OPEN if self._loopback and near else SignUpPolicy.INVITE

    def _settings(self, session: Session, near: bool) -> Settings:
        days = read_setting(session, _TRASH_DAYS)
        return Settings(
            sign_up=self.sign_up(session, near=near),
            sign_up_set=read_setting(session, _SIGN_UP) is not None,
            trash_days=_TRASH_DAYS_AT_FIRST if days is None else int(days),
            reserved=reserved(session),
        )

    def update(self, caller: Caller, change: SettingsUpdate, *, near: bool = False) -> Settings:
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
            if change.reserved is not None:
                said = change.reserved.model_dump(exclude_unset=True)
                write_setting(
                    session, _RESERVED, reserved(session).model_copy(update=said).model_dump_json()
                )
                self._events.add(
                    session,
                    None,
                    caller.user_id,
                    "settings.update",
                    _RESERVED,
                    value=dict(sorted(said.items())),
                )
            return self._settings(session, near)


def reserved(session: Session) -> Reserved:
    """What of the machines is set aside for instances and endpoints."""
    said = read_setting(session, _RESERVED)
    return Reserved() if said is None else Reserved.model_validate_json(said)


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
