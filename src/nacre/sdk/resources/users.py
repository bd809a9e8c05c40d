"""``client.users`` and ``client.invitations``."""

from __future__ import annotations

import builtins

from nacre.schema.users import Invitation, IssuedToken, Me, Token, User
from nacre.sdk.resources.base import Noun


class Users(Noun):
    """People."""

    def sign_up(
        self, name: str, password: str, *, email: str | None = None, invitation: str | None = None
    ) -> IssuedToken:
        """Make an account; the answer's ``secret`` is the token of its first session."""
        body = {"name": name, "password": password, "email": email, "invitation": invitation}
        found: IssuedToken = self._transport.call("users.sign_up", IssuedToken, json=body)
        return found

    def sign_in(self, name: str, password: str, *, lifetime_s: int | None = None) -> IssuedToken:
        """Exchange name and password for a session's token, good for 30 days unless told otherwise."""
        body: dict[str, str | int] = {"name": name, "password": password}
        if lifetime_s is not None:
            body["lifetime_s"] = lifetime_s
        found: IssuedToken = self._transport.call("users.sign_in", IssuedToken, json=body)
        return found

    def sign_out(self) -> None:
        """Revoke the session in use; ``Conflict`` when the client has a program's token instead."""
        self._transport.call("users.sign_out", None)

    def me(self) -> Me:
        """Who the client is signed in as."""
        found: Me = self._transport.call("users.me", Me)
        return found

    def change_password(self, old: str, new: str) -> None:
        """Change one's own password; other sessions end. ``old`` is empty where there never was one."""
        self._transport.call("users.change_password", None, json={"old": old, "new": new})

    def list(self, *, limit: int | None = None) -> builtins.list[User]:
        """Every user, newest first (administrators)."""
        return self._all("users.list", User, limit=limit)

    def update(self, user: str, *, admin: bool | None = None, disabled: bool | None = None) -> User:
        """Disable a user, or make one an administrator (administrators). Null leaves it."""
        body = {"admin": admin, "disabled": disabled}
        found: User = self._transport.call("users.update", User, json=body, user=user)
        return found

    def delete(self, user: str) -> None:
        """Delete a user who owns nothing (administrators)."""
        self._transport.call("users.delete", None, user=user)

    def sessions(self, user: str, *, limit: int | None = None) -> builtins.list[Token]:
        """A user's sign-ins and tokens, newest first (administrators)."""
        return self._all("users.sessions", Token, limit=limit, user=user)

    def end_session(self, user: str, token: str) -> None:
        """Revoke a user's sign-in or token, by its id (administrators)."""
        self._transport.call("users.end_session", None, user=user, token=token)


class Invitations(Noun):
    """Invitations to sign up (administrators)."""

    def create(
        self, *, project: str | None = None, role: str = "editor", lifetime_s: int | None = None
    ) -> Invitation:
        """An invitation for one person, into ``project`` too when it is given; its ``secret`` is shown
        this once. It lasts 7 days unless told otherwise."""
        body: dict[str, str | int | None] = {"project": project, "role": role}
        if lifetime_s is not None:
            body["lifetime_s"] = lifetime_s
        found: Invitation = self._transport.call("invitations.create", Invitation, json=body)
        return found

    def list(self, *, limit: int | None = None) -> builtins.list[Invitation]:
        """Invitations that may still be used, newest first."""
        return self._all("invitations.list", Invitation, limit=limit)

    def delete(self, invitation: str) -> None:
        """Withdraw an invitation that nobody has used."""
        self._transport.call("invitations.delete", None, invitation=invitation)
