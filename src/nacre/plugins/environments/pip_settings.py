"""What the machine's owner told pip, told to uv, which reads none of pip's configuration."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "NETRC", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("UV_", "SSL_CERT_", "LC_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_INDEXES = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX")


def pip_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """pip's settings from its files and from ``PIP_*``, the later winning, as pip itself reads them.

    Keys are pip's long options with dashes, such as ``find-links``.
    """
    found: dict[str, str] = {}
    for path in _files(variables):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip says what is wrong with it; environments are built without it
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {k.replace("_", "-"): v for k, v in parser.items(section)}
    prefix = "PIP_"
    found |= {
        k.removeprefix(prefix).lower().replace("_", "-"): v
        for k, v in variables.items()
        if k.startswith(prefix)
    }
    return {k: v.strip() for k, v in found.items() if v.strip()}


def _files(variables: Mapping[str, str]) -> list[Path]:
    named = variables.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(variables.get("HOME") or "~").expanduser()
    shared = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    own = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path(folder) / "pip" / "pip.conf" for folder in reversed(shared)]
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", own / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(named)] if named else files


def uv_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables to run uv with: what it needs of the given ones, and pip's settings translated.

    What the user said to uv itself (``UV_*``) wins. Nothing else is passed on: a requirements file must
    not be able to read the server's variables.
    """
    result = {
        k: v
        for k, v in variables.items()
        if k in _KEPT or k.startswith(_KEPT_PREFIXES) or k.lower() in _PROXIES
    }
    pip = pip_settings(variables)
    if "find-links" in pip:
        result.setdefault("UV_FIND_LINKS", ",".join(pip["find-links"].split()))
    if not any(name in variables for name in _INDEXES):
        result |= _indexes(pip)
    if "cert" in pip:
        result.setdefault("SSL_CERT_FILE", pip["cert"])
    if "trusted-host" in pip:
        result.setdefault("UV_INSECURE_HOST", pip["trusted-host"])
    timeout = pip.get("timeout") or pip.get("default-timeout")
    if timeout and timeout.isdigit():
        result.setdefault("UV_HTTP_TIMEOUT", timeout)
    if "proxy" in pip and not any(k.lower() in _PROXIES for k in result):
        result |= {"HTTPS_PROXY": pip["proxy"], "HTTP_PROXY": pip["proxy"]}
    return result


def _indexes(pip: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return {"UV_NO_INDEX": "1"}
    if "index-url" in pip:
        found["UV_DEFAULT_INDEX"] = pip["index-url"]
    if "extra-index-url" in pip:
        found["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
        # pip takes the best version of all its indexes; uv would stop at the first that has the name
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found
