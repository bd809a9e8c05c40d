"""Routes of links that sign a browser in."""

from __future__ import annotations

from fastapi import Request, Response

from nacre.api import session_cookie
from nacre.api.routers.users import signed_in
from nacre.api.routes import Allowed, Routes, Wired
from nacre.errors import PermissionDenied, Unauthenticated
from nacre.schema.users import SessionLink, SessionRedeem, SignedIn

routes = Routes()


@routes.operation("sessions.link", status=201)
def link(caller: Allowed, services: Wired) -> SessionLink:
    """It works once, for ten minutes."""
    return services.sessions.link(caller)


@routes.operation("sessions.redeem", status=201, also=(Unauthenticated, PermissionDenied))
def redeem(body: SessionRedeem, request: Request, response: Response, services: Wired) -> SignedIn:
    """The session's token is set as a cookie, unless the body says otherwise."""
    if body.cookie:
        session_cookie.check_console(request)
    issued = services.sessions.redeem(body.code.get_secret_value(), in_browser=body.cookie)
    return signed_in(issued, request, response, body.cookie)
