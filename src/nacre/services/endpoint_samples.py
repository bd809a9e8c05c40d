"""A stored sample of a model's input, as the request that warms a revision up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nacre.errors import NacreError
from nacre.schema.launch import FileEntry
from nacre.schema.serving import Signature
from nacre.sdk.inference import build_request
from nacre.services.blobs import BlobLedger

NAMES = ("sample.json", "serving_input_example.json", "input_example.json")
"""Files of a model that hold one: an Open Inference Protocol request; what MLflow writes beside a model."""
MAX_BYTES = 2**20


def sample_path(serving: Path, version_id: str) -> Path:
    """Where the request of a model version lies, if it has one."""
    return serving / "samples" / f"{version_id}.json"


def keep_sample(
    ledger: BlobLedger,
    serving: Path,
    version_id: str,
    files: Sequence[FileEntry],
    signature: Signature | None,
) -> None:
    """Write the request of a model version, if its files have a sample of which one can be made."""
    target = sample_path(serving, version_id)
    if target.exists():
        return
    for name in NAMES:
        named = [f for f in files if f.path.rpartition("/")[2] == name and f.size <= MAX_BYTES]
        for entry in sorted(named, key=lambda f: (f.path.count("/"), f.path)):
            if (request := _request(ledger, entry, signature)) is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_suffix(".tmp")
                temporary.write_text(json.dumps(request))
                temporary.replace(target)
                return


def _request(ledger: BlobLedger, entry: FileEntry, signature: Signature | None) -> dict[str, Any] | None:
    try:
        content = json.loads(ledger.read(entry.digest, MAX_BYTES))
        return request_of(content, signature)
    except (ValueError, RecursionError, NacreError):
        return None  # a strange sample is no reason not to serve the model


def request_of(content: Any, signature: Signature | None) -> dict[str, Any]:
    """The request in a sample: one of the Open Inference Protocol, or an example as MLflow writes it.

    MLflow's are ``{"inputs": …}``, ``{"instances": …}``, ``{"dataframe_split": {"columns", "data"}}``, the
    bare ``{"columns", "data"}``, or bare tensors, by name where there are several.

    Raises:
        InvalidSpec: it does not fit the signature.
        ValueError: it is none of these, or there is no signature to tell.
    """
    if isinstance(content, dict):
        tensors = content.get("inputs")
        if isinstance(tensors, list) and tensors and all(_is_tensor(one) for one in tensors):
            return {"inputs": tensors}
        content = next(
            (content[key] for key in ("dataframe_split", "inputs", "instances") if key in content), content
        )
    if signature is None:
        raise ValueError("nothing tells which inputs the model has")
    if isinstance(content, dict) and {"columns", "data"} <= content.keys():
        content = _table(content["columns"], content["data"], signature)
    found = build_request(signature, content)
    if any(0 in tensor["shape"] for tensor in found["inputs"]):
        raise ValueError("it is empty")
    return found


def _is_tensor(one: Any) -> bool:
    return isinstance(one, dict) and {"name", "shape", "datatype", "data"} <= one.keys()


def _table(columns: list[Any], data: list[list[Any]], signature: Signature) -> Any:
    """A table: each column an input of its name, or all of them the one input."""
    names = [one.name for one in signature.inputs]
    if set(names) <= set(columns):
        places = {name: columns.index(name) for name in names}
        return {name: [[row[at]] for row in data] for name, at in places.items()}
    return data
