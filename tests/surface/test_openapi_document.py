"""``docs/reference/openapi.json`` is what the server's OpenAPI document says: the console's client is made
from it. Write it anew with ``python -m tests.surface.test_openapi_document``.

Compared is what a client is made of (operations, parameters, types of bodies and answers, fields), not the
wording that differs between versions of FastAPI and pydantic.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from nacre import __version__
from nacre.api.app import make_app
from nacre.services.registry import Services

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "openapi.json"


def document() -> dict[str, Any]:
    """The OpenAPI document of the routes under /api/v1."""
    return make_app(cast(Services, None), __version__).openapi()


def _types(schema: Any) -> Any:
    """References and primitive types of a schema, without words."""
    if not isinstance(schema, dict):
        return schema
    kept = {k: schema[k] for k in ("$ref", "type", "enum", "const") if k in schema}
    for name in ("items", "additionalProperties"):
        if name in schema:
            kept[name] = _types(schema[name])
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            kept[name] = [_types(one) for one in schema[name]]
    return kept


def _essence(said: dict[str, Any]) -> dict[str, Any]:
    operations = {}
    for path, methods in said["paths"].items():
        for method, one in methods.items():
            body = one.get("requestBody", {}).get("content", {})
            answers = {
                status: {kind: _types(content.get("schema")) for kind, content in answer["content"].items()}
                for status, answer in one["responses"].items()
                if "content" in answer and status.startswith("2")
            }
            operations[f"{method} {path}"] = {
                "id": one["operationId"],
                "parameters": sorted(
                    (p["in"], p["name"], bool(p.get("required"))) for p in one.get("parameters", [])
                ),
                "body": {kind: _types(content.get("schema")) for kind, content in body.items()},
                "answers": answers,
            }
    types = {
        name: {
            "fields": {field: _types(of) for field, of in schema.get("properties", {}).items()},
            "required": sorted(schema.get("required", [])),
            "enum": schema.get("enum"),
        }
        for name, schema in said["components"]["schemas"].items()
    }
    return {"operations": operations, "types": types}


def test_the_document_is_what_the_server_says() -> None:
    # Through JSON, where a tuple is a list.
    said = json.loads(json.dumps(_essence(document())))
    kept = json.loads(json.dumps(_essence(json.loads(FILE.read_text()))))
    assert kept == said, "run: python -m tests.surface.test_openapi_document"


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
