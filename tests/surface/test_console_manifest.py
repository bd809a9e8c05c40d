"""The console spells manifests as the SDK does: both are held to the same file of examples.

``python -m tests.surface.test_console_manifest`` writes it anew; ``manifest.test.ts`` reads it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blake3 import blake3

from nacre.errors import InvalidSpec
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import canonical, check_paths, frame

EXAMPLES = Path(__file__).parents[2] / "console/src/api/manifest.examples.json"

_FOLDERS: list[list[tuple[str, bytes, bool]]] = [
    [],
    [("train.py", b"print('hello')\n", False)],
    [("b/a.py", b"", False), ("b.py", b"x", True), ("b/é.py", "é".encode(), False), ("B", b"B", False)],
    # the order of code points, which is not that of UTF-16
    [("\U0001f600.txt", b"1", False), ("\uff5e.txt", b"2", False), ("中/文.txt", b"3", False)],
    [('quote".txt', b"", False), ("back\\slash", b"", False), ("tab\there", b"", False)],
    [("\x01\x1f\x7f\u2028\u00a0", b"", False), ("a b", b"", False), ("a", b"\x00\xff", False)],
]
_PATHS: list[list[str]] = [
    ["a", "b/c", "b/d"],
    [""],
    ["/a"],
    ["a//b"],
    ["a/../b"],
    ["./a"],
    ["a/"],
    ["a\x00b"],
    ["a", "a"],
    ["a", "a/b"],
    ["a/b/c", "a"],
    ["ab", "a/b"],
    ["é" * 127],
    ["é" * 128],
    ["/".join(["d" * 200] * 20)],
    ["/".join(["d" * 200] * 21)],
]


def _examples() -> dict[str, Any]:
    folders = []
    for files in _FOLDERS:
        entries = [
            FileEntry(path=path, size=len(data), digest=blake3(data).hexdigest(), executable=executable)
            for path, data, executable in files
        ]
        text = canonical(entries)
        folders.append(
            {
                "files": [
                    {"path": p, "hex": data.hex(), "executable": executable}
                    for p, data, executable in files
                ],
                "manifest": text.decode(),
                "digest": blake3(text).hexdigest(),
            }
        )
    paths = [{"paths": paths, "fine": _fine(paths)} for paths in _PATHS]
    blob = b"some bytes"
    framed = frame(blake3(blob).hexdigest(), blob) + frame(blake3(b"").hexdigest(), b"")
    return {
        "folders": folders,
        "paths": paths,
        "frames": {"blobs": ["some bytes", ""], "hex": framed.hex()},
    }


def _fine(paths: list[str]) -> bool:
    try:
        check_paths(paths)
    except InvalidSpec:
        return False
    return True


def _text() -> str:
    return json.dumps(_examples(), indent=1) + "\n"


def test_the_examples_are_what_python_makes() -> None:
    assert EXAMPLES.read_text(encoding="utf-8") == _text(), "write it anew: see this file's first lines"


if __name__ == "__main__":
    EXAMPLES.write_text(_text(), encoding="utf-8")
