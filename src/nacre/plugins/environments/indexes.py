"""The package indexes of this server, as work may know and reach them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from nacre.plugins.environments.pip_settings import pip_settings, uv_variables
from nacre.ports.environments import Indexes

_URLS = {
    "index-url": "PIP_INDEX_URL",
    "extra-index-url": "PIP_EXTRA_INDEX_URL",
    "find-links": "PIP_FIND_LINKS",
}
_PLAIN = {"no-index": "PIP_NO_INDEX", "trusted-host": "PIP_TRUSTED_HOST"}
_UV_URLS = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_UV_PLAIN = ("UV_NO_INDEX", "UV_INDEX_STRATEGY", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "UV_TORCH_BACKEND")
_USUAL = {"http": 80, "https": 443}
_SYSTEM = ("/etc/ssl/", "/etc/pki/", "/etc/ca-certificates/", "/usr/")


def read_indexes(variables: Mapping[str, str], uv: str | None = None) -> Indexes:
    """From the server's environment variables and pip's files.

    Names and passwords in URLs are left out: every user of a project could read them.
    """
    pip, for_uv = pip_settings(variables), uv_variables(variables)
    hosts: set[str] = set()
    shown: set[str] = set()
    told: dict[str, str] = {}

    def tell(name: str, text: str, separator: str = " ") -> None:
        words = [_public(word, hosts, shown) for word in text.replace(separator, " ").split()]
        told[name] = separator.join(words)

    for setting, name in _URLS.items():
        if setting in pip:
            tell(name, pip[setting])
    for name in _UV_URLS:
        if name in for_uv:
            tell(name, for_uv[name], "," if name == "UV_FIND_LINKS" else " ")
    told |= {name: " ".join(pip[setting].split()) for setting, name in _PLAIN.items() if setting in pip}
    told |= {name: for_uv[name] for name in _UV_PLAIN if name in for_uv}
    for name, path in (("PIP_CERT", pip.get("cert")), ("SSL_CERT_FILE", for_uv.get("SSL_CERT_FILE"))):
        if path and os.path.isfile(path):
            told[name] = path
            if not path.startswith(_SYSTEM):
                shown.add(path)
    return Indexes(frozenset(hosts), _proxies(for_uv), told, tuple(sorted(shown)), uv)


def _public(word: str, hosts: set[str], shown: set[str]) -> str:
    """A URL or path without what is secret in it; its host or folder is noted.

    uv writes ``name=URL`` too.
    """
    name, equals, url = word.partition("=") if "=" in word.partition("://")[0] else ("", "", word)
    parts = urlsplit(url)
    if parts.scheme in _USUAL and parts.hostname:
        authority = _authority(parts)
        hosts.add(authority)
        return name + equals + urlunsplit((parts.scheme, authority, parts.path, parts.query, ""))
    path = unquote(parts.path) if parts.scheme == "file" else url
    if os.path.isdir(path):
        shown.add(_whole(path))
    return word


def _authority(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = parts.port
    return host if port is None or port == _USUAL[parts.scheme] else f"{host}:{port}"


def _whole(path: str) -> str:
    """The folder to show: pages of an index named ``simple`` link to files beside it."""
    found = Path(os.path.normpath(path))
    beside = found.name == "simple" and len(found.parts) > 2
    return str(found.parent if beside else found)


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in variables.items() if value}
    found = {
        scheme: lower.get(f"{scheme}_proxy") or lower.get("all_proxy", "") for scheme in ("http", "https")
    }
    return {name: value for name, value in (found | {"no": lower.get("no_proxy", "")}).items() if value}
