"""The identity services, wired, and short ways to make people with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import SecretStr

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.schema.users import IssuedToken, SignIn, SignUp
from nacre.services.events import Events
from nacre.services.projects import Projects
from nacre.services.secrets import KEY_BYTES, Secrets
from nacre.services.sessions import Sessions
from nacre.services.settings import ServerSettings, write_setting
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens
from nacre.services.users import Users

PASSWORD = "correct horse battery"
ADDRESS = "192.0.2.1"


@dataclass
class Identity:
    """Every service of who may do what."""

    db: Database
    clock: FixedClock
    signals: Signals
    events: Events
    settings: ServerSettings
    tokens: Tokens
    sessions: Sessions
    projects: Projects
    users: Users
    secrets: Secrets

    def sign_up_policy(self, policy: str) -> None:
        """Set it, whoever asks."""
        with self.db.write() as session:
            write_setting(session, "sign_up", policy)

    def sign_up(self, name: str, password: str = PASSWORD) -> IssuedToken:
        """An account, whatever the policy."""
        before = self.settings.get().sign_up
        self.sign_up_policy("open")
        issued = self.users.sign_up(SignUp(name=name, password=SecretStr(password)), ADDRESS)
        self.sign_up_policy(before)
        return issued

    def sign_in(self, name: str, password: str = PASSWORD, address: str = ADDRESS) -> IssuedToken:
        return self.users.sign_in(SignIn(name=name, password=SecretStr(password)), address)

    def caller(self, secret: str, project: str | None = None) -> Caller:
        """Who the token belongs to, inside a project if one is named."""
        caller = self.tokens.resolve(secret)
        assert caller is not None
        return self.projects.enter(caller, project) if project is not None else caller

    def person(self, name: str) -> Caller:
        """A new user, in their own project."""
        return self.caller(self.sign_up(name).secret, name)

    def limited(self, caller: Caller, *scopes: str) -> Caller:
        """The same caller behind a token with these scopes."""
        return replace(caller, scopes=frozenset(scopes))


def wire(db: Database, clock: FixedClock) -> Identity:
    """The services on a database."""
    signals = Signals()
    events = Events(db, clock)
    tokens = Tokens(db, clock, signals)
    projects = Projects(db, clock, events)
    settings = ServerSettings(db, events)
    users = Users(db, clock, tokens, projects, events, settings)
    return Identity(
        db=db,
        clock=clock,
        signals=signals,
        events=events,
        settings=settings,
        tokens=tokens,
        sessions=Sessions(db, clock, tokens, events),
        projects=projects,
        users=users,
        secrets=Secrets(db, clock, events, bytes(range(KEY_BYTES))),
    )
