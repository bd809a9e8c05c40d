"""Users, tokens, sign-in, sign-up policy and invitations."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, SecretStr

from nacre.schema.access import Access, Operation
from nacre.schema.base import Answer, Name, Stamped, Wire
from nacre.schema.resources import Size

SESSION_COOKIE = "nacre_session"
"""The cookie of the console's sign-in. Browsers send it to every port of the host."""


class SignUpPolicy(StrEnum):
    """Who may make an account. The owner of the machine always has one."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class User(Stamped):
    """A person."""

    name: Name
    email: str | None = None
    admin: bool = False
    disabled: bool = False
    last_seen_at: datetime | None = Field(None, description="to the minute; only in lists of users")


class Me(User):
    """Oneself."""

    has_password: bool = Field(description="false for an account that only tokens and links open")


class UserUpdate(Wire):
    """What an administrator changes of a user; null leaves it."""

    admin: bool | None = None
    disabled: bool | None = None


class SignUp(Wire):
    """A new account. ``invitation`` is needed where the policy is ``invite``; ``cookie`` as in
    :class:`SignIn`."""

    name: Name
    password: SecretStr = Field(min_length=8, max_length=256)
    email: str | None = Field(None, max_length=254)
    invitation: SecretStr | None = None
    cookie: bool = False


class SignIn(Wire):
    """Name and password for a token. ``lifetime_s`` defaults to 30 days.

    With ``cookie`` the token is set as a cookie that no script can read, and the answer has no secret:
    for pages of the console only.
    """

    name: Name
    password: SecretStr
    lifetime_s: int = Field(30 * 86_400, ge=60, le=366 * 86_400)
    cookie: bool = False


class SessionRedeem(Wire):
    """The code of a link of ``sessions.link``, for a session. ``cookie`` as in :class:`SignIn`."""

    code: SecretStr = Field(min_length=1, max_length=256)
    cookie: bool = True


class SessionLink(Answer):
    """A page of the console that signs a browser in, once, until ``expires_at``."""

    path: str = Field(repr=False, description="to open on the address under which this server is reached")
    code: str = Field(repr=False, description="the secret in it")
    expires_at: datetime


class PasswordChange(Wire):
    """The old password proves who asks; an account that never had one leaves it out."""

    old: SecretStr = SecretStr("")
    new: SecretStr = Field(min_length=8, max_length=256)


class TokenCreate(Wire):
    """A token for a program. No scopes means everything that the user may do.

    ``rate_per_s``: requests that endpoints answer it in a second, in bursts of up to ``burst``; beyond that 429.
    """

    name: Name
    scopes: list[str] = Field(["*"], min_length=1)
    lifetime_s: int | None = Field(None, ge=60)
    rate_per_s: float | None = Field(None, gt=0, le=1e6)
    burst: int | None = Field(None, ge=1, le=1_000_000)


class Token(Stamped):
    """A token without its secret."""

    name: str
    kind: str = Field(description="user, session, attempt, instance or content")
    scopes: list[str]
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    rate_per_s: float | None = None
    burst: int | None = None
    current: bool = Field(False, description="the one that asked")


class IssuedToken(Answer):
    """A new token. ``secret`` is shown this once; the server keeps only its hash."""

    token: Token
    secret: str = Field(repr=False)
    user: User


class SignedIn(Answer):
    """A new session. ``secret`` is shown this once; null where the session is a cookie."""

    token: Token
    secret: str | None = Field(None, repr=False)
    user: User


class TokenScope(Answer):
    """What a token may carry, and what it opens."""

    name: str
    operations: list[str] = Field(description="what it allows, in words: their summaries")


class TokenScopes(Answer):
    """Every scope there is; ``*`` stands for all of them."""

    items: list[TokenScope]


class InvitationCreate(Wire):
    """An invitation to sign up, for a project too when one is named."""

    project: str | None = None
    role: str = "editor"
    lifetime_s: int = Field(7 * 86_400, ge=60)


class Invitation(Stamped):
    """An invitation; ``secret`` only in the answer that made it."""

    project: str | None = None
    role: str
    expires_at: datetime
    used_by: str | None = None
    secret: str | None = Field(None, repr=False)


class Reserved(Wire):
    """What of the machines is set aside for instances and endpoints. Jobs do not take it, but spot jobs do, and
    make room."""

    cpu: float = Field(0, ge=0, le=1e6)
    memory: Size = 0
    gpu: float = Field(0, ge=0, le=1e6)


class Settings(Answer):
    """What an administrator sets for the whole server."""

    sign_up: SignUpPolicy = Field(description="as it is for who asks")
    sign_up_set: bool = Field(
        True,
        description="false until somebody sets it: then people at this machine may sign up, while it listens "
        "on loopback only, and everybody else needs an invitation",
    )
    trash_days: int = Field(description="how long deleted runs and experiments can be restored")
    reserved: Reserved = Reserved()


class SettingsUpdate(Wire):
    """Null leaves a setting as it is."""

    sign_up: SignUpPolicy | None = None
    trash_days: int | None = Field(None, ge=0, le=36_500)
    reserved: Reserved | None = Field(None, description="amounts that are left out stay")


_A = "/api/v1"
OPERATIONS = (
    Operation(
        "users.sign_up",
        "POST",
        f"{_A}/users",
        "Make an account",
        Access.PUBLIC,
        cli="user sign-up",
    ),
    Operation(
        "users.sign_in",
        "POST",
        f"{_A}/sessions",
        "Exchange name and password for a token",
        Access.PUBLIC,
        cli="login",
    ),
    Operation(
        "users.sign_out",
        "DELETE",
        f"{_A}/sessions/current",
        "Revoke the token in use",
        Access.USER,
        "users:write",
        "logout",
    ),
    Operation(
        "sessions.link",
        "POST",
        f"{_A}/sessions/links",
        "Make a link that signs a browser in, once",
        Access.USER,
        "tokens:write",
        "console",
    ),
    Operation(
        "sessions.redeem",
        "POST",
        f"{_A}/sessions/redeem",
        "Exchange the code of a link for a session",
        Access.PUBLIC,
        cli="login",
    ),
    Operation(
        "users.me",
        "GET",
        f"{_A}/me",
        "Who the token belongs to",
        Access.USER,
        "users:read",
        "user me",
    ),
    Operation(
        "users.change_password",
        "POST",
        f"{_A}/me/password",
        "Change one's own password",
        Access.USER,
        "users:write",
        "user password",
    ),
    Operation("users.list", "GET", f"{_A}/users", "List users", Access.ADMIN, "users:read", "user ls"),
    Operation(
        "users.update",
        "PATCH",
        f"{_A}/users/{{user}}",
        "Disable a user or make one an administrator",
        Access.ADMIN,
        "users:write",
        "user update",
    ),
    Operation(
        "users.delete",
        "DELETE",
        f"{_A}/users/{{user}}",
        "Delete a user who owns nothing",
        Access.ADMIN,
        "users:write",
        "user delete",
    ),
    Operation(
        "users.sessions",
        "GET",
        f"{_A}/users/{{user}}/tokens",
        "List a user's sign-ins and tokens",
        Access.ADMIN,
        "users:read",
        "user sessions",
    ),
    Operation(
        "users.end_session",
        "DELETE",
        f"{_A}/users/{{user}}/tokens/{{token}}",
        "Revoke a user's sign-in or token",
        Access.ADMIN,
        "users:write",
        "user end-session",
    ),
    Operation(
        "invitations.create",
        "POST",
        f"{_A}/invitations",
        "Invite somebody to sign up",
        Access.ADMIN,
        "users:write",
        "user invite",
    ),
    Operation(
        "invitations.list",
        "GET",
        f"{_A}/invitations",
        "List open invitations",
        Access.ADMIN,
        "users:read",
        "user invitations",
    ),
    Operation(
        "invitations.delete",
        "DELETE",
        f"{_A}/invitations/{{invitation}}",
        "Withdraw an invitation",
        Access.ADMIN,
        "users:write",
        "user uninvite",
    ),
    Operation(
        "tokens.create",
        "POST",
        f"{_A}/tokens",
        "Make a token for a program",
        Access.USER,
        "tokens:write",
        "token create",
    ),
    Operation(
        "tokens.list",
        "GET",
        f"{_A}/tokens",
        "List one's own tokens",
        Access.USER,
        "tokens:read",
        "token ls",
    ),
    Operation(
        "tokens.scopes",
        "GET",
        f"{_A}/scopes",
        "List what tokens can be limited to",
        Access.USER,
        "tokens:read",
        "token scopes",
    ),
    Operation(
        "tokens.delete",
        "DELETE",
        f"{_A}/tokens/{{token}}",
        "Revoke a token",
        Access.USER,
        "tokens:write",
        "token delete",
    ),
    Operation(
        "settings.get",
        "GET",
        f"{_A}/settings",
        "Read the server's settings",
        Access.USER,
        "settings:read",
        "settings show",
    ),
    Operation(
        "settings.update",
        "PATCH",
        f"{_A}/settings",
        "Change the server's settings",
        Access.ADMIN,
        "settings:write",
        "settings set",
    ),
)
