"""Converter: how a framework's model file becomes ONNX. The server never imports a framework."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Converter:
    """A program that converts inside an environment of the framework's.

    ``program`` is a module, run as ``python -m``; it takes ``--model FILE [--inputs JSON] [--data FOLDER]…
    [--script FILE | --module NAME] [--untrusted]``, writes ``model.onnx`` and ``conversion.json`` into
    ``$NACRE_OUTPUT_DIR``, and exits with 2 and a sentence on stderr when the model cannot be converted.
    ``--untrusted``: the file came from no run of the project, and nothing in it may be unpickled.
    ``requirements`` are added to the model's own environment; ``environment`` is the catalogue's, for a
    model that brings none.
    """

    framework: str
    suffixes: tuple[str, ...]
    program: str
    requirements: tuple[str, ...]
    environment: str
