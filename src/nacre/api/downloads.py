"""Headers of bytes that users made: sent from the console's origin, nothing in them may run there."""

from __future__ import annotations

from urllib.parse import quote

HARMLESS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer of the API: opened as a page, it is one without scripts and without an origin."""

_ANY = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
_SHOWN = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "webm": "video/webm",
} | dict.fromkeys(("txt", "log", "csv", "tsv", "json", "jsonl", "yaml", "yml", "toml", "md", "py"), _TEXT)
"""What a browser may show, by the end of the name: pictures of pixels, sound, film and plain text. Not SVG,
HTML, XML or PDF, which can carry scripts: they are downloads of no particular type."""


def file_headers(path: str) -> dict[str, str]:
    """Type, disposition and harmlessness of a file, by its name alone: its bytes are not believed."""
    name = path.rpartition("/")[2]
    kind = _SHOWN.get(name.rpartition(".")[2].lower() if "." in name else "", _ANY)
    shown = "attachment" if kind == _ANY else "inline"
    return {
        **HARMLESS,
        "Content-Type": kind,
        "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(name, safe='')}",
    }
