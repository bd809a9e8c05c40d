"""How commands show what is not text."""

from __future__ import annotations

from datetime import datetime

from rich.markup import escape


def when(instant: datetime | None, *, never: str = "never") -> str:
    """An instant in this machine's time zone, to the minute."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M") if instant is not None else never


def plain(text: object) -> str:
    """Text that somebody wrote, safe to print: brackets in it are no markup."""
    return escape(str(text))


def size(count: int) -> str:
    """Bytes for people, in binary units: ``812 B``, ``1.4 GiB``."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
