"""The page at the root: help for whoever opens the server in a browser."""

from __future__ import annotations

import asyncio
from typing import cast

import httpx

from nacre.api.app import make_app
from nacre.services.registry import Services


async def page(base_url: str, host: str | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(make_app(cast(Services, None), "0"))
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
        return await http.get("/", headers={"Host": host} if host else {})


def test_it_names_the_command_that_signs_in_here() -> None:
    answer = asyncio.run(page("http://gpu-box:7373"))
    assert answer.status_code == 200
    assert "nacre login http://gpu-box:7373" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_host_name_cannot_put_markup_into_it() -> None:
    answer = asyncio.run(page("http://test", "<script>alert(1)</script>"))
    assert "<script>" not in answer.text
