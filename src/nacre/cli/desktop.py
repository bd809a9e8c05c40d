"""Whether there is a browser to open, and opening it."""

from __future__ import annotations

import os
import sys
import webbrowser


def has_browser() -> bool:
    """Whether somebody sits before this terminal with a graphical browser."""
    if not sys.stdout.isatty():
        return False
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_browser(url: str) -> bool:
    """Open the URL; false when no browser took it."""
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
