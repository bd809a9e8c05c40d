"""Every error that Nacre raises, in one tree.

    NacreError
    ├── RequestError            the caller can mend it
    │   ├── InvalidSpec         422  the request says something impossible
    │   ├── Unauthenticated     401  no token, or one that is wrong or expired
    │   ├── PermissionDenied    403  the token or the role does not allow it
    │   ├── NotFound            404
    │   ├── Conflict            409  the state of the thing forbids it now
    │   ├── QuotaExceeded       409
    │   ├── TooLarge            413
    │   └── RateLimited         429
    ├── Unavailable             503  try again later
    ├── PluginError             502  a plugin or the program behind it failed
    └── InternalError           500

Over HTTP an error is ``application/problem+json`` (RFC 9457) with the fields of :meth:`NacreError.problem`;
the SDK turns that back into the same class with :func:`from_problem`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class NacreError(Exception):
    """Root of the tree. ``detail`` is one sentence that also says what to do next.

    ``extra`` holds machine-readable facts about this one case (the field at fault, the limit, …).
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 body: ``type``, ``title``, ``status``, ``code``, ``detail``, and ``extra``."""
        return {
            "type": f"urn:nacre:error:{self.code}",
            "title": type(self).__name__,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "extra": self.extra,
        }


class RequestError(NacreError):
    """The caller can mend it."""

    code = "bad_request"
    status = 400


class InvalidSpec(RequestError):
    """The request says something impossible; ``extra["fields"]`` names what."""

    code = "invalid_spec"
    status = 422


class Unauthenticated(RequestError):
    """No token, or one that is wrong or expired."""

    code = "unauthenticated"
    status = 401


class PermissionDenied(RequestError):
    """The token's scopes or the caller's role do not allow this."""

    code = "permission_denied"
    status = 403


class NotFound(RequestError):
    """There is no such thing, or the caller may not know that there is."""

    code = "not_found"
    status = 404


class Conflict(RequestError):
    """The thing's present state forbids it."""

    code = "conflict"
    status = 409


class QuotaExceeded(RequestError):
    """The request would pass a quota."""

    code = "quota_exceeded"
    status = 409


class TooLarge(RequestError):
    """The body, or what it asks for, is over a size limit."""

    code = "too_large"
    status = 413


class RateLimited(RequestError):
    """Too many requests; ``extra["retry_after_s"]`` says how long to wait."""

    code = "rate_limited"
    status = 429


class Unavailable(NacreError):
    """The server, its database or its disk cannot answer now; trying again may help."""

    code = "unavailable"
    status = 503


class PluginError(NacreError):
    """A plugin, or the program behind it, failed."""

    code = "plugin_error"
    status = 502


class InternalError(NacreError):
    """A defect in Nacre."""


def _descendants(root: type[NacreError]) -> list[type[NacreError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _descendants(child))]


def from_problem(status: int, body: dict[str, Any]) -> NacreError:
    """The error that an HTTP answer stands for, as its own class where ``code`` is known.

    An unknown code becomes :class:`RequestError` below 500 and :class:`InternalError` from there.
    """
    by_code = {kind.code: kind for kind in _descendants(NacreError) if kind is not NacreError}
    fallback = RequestError if status < 500 else InternalError
    kind = by_code.get(str(body.get("code")), fallback)
    extra = body.get("extra")
    detail = str(body.get("detail") or f"the server answered {status}")
    return kind(detail, **(extra if isinstance(extra, dict) else {}))
