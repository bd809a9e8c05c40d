"""Browsers send the console's cookie to the inference listener too: it means nothing there."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import modelserver_kit as kit

READY = "/endpoints/p/mlp/v2/health/ready"


def test_the_consoles_cookie_is_no_token(start: Callable[..., kit.Server], tmp_path: kit.Path) -> None:
    revision = kit.revision(kit.mlp(tmp_path / "m.onnx"))
    kit.write_routes(tmp_path, {"p/mlp": revision}, {"every": kit.TokenGrant(projects=["*"])})
    server = start().wait()
    assert server.get(READY, "every").status_code == 200
    cookie = {"Cookie": "nacre_session=every", "X-Nacre-Console": "1"}
    refused = httpx.get(server.url(READY), headers=cookie, timeout=20, trust_env=False)
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
