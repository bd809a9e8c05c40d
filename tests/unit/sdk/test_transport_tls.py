"""The client's connections: encrypted ones are checked, others need no certificates."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.tls_kit import certificate

from nacre.errors import Unavailable
from nacre.sdk.transport import Transport

INFO = b'{"version": "1", "sign_up": "closed", "content_url": "http://a", "inference_url": "http://b"}'


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(INFO)))
        self.end_headers()
        self.wfile.write(INFO)

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_whose_certificate_nobody_vouches_for_is_not_talked_to(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path, "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        transport = Transport(f"https://127.0.0.1:{server.server_port}", "token")
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            transport.call("server.info", None, repeatable=False)
        transport.close()
        server.shutdown()
        thread.join(10)


def test_certificates_are_read_for_https_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    load = ssl.SSLContext.load_verify_locations
    monkeypatch.setattr(
        ssl.SSLContext, "load_verify_locations", lambda *given, **more: read.append(load(*given, **more))
    )
    for url in ("http://127.0.0.1:1", "unix:/nowhere"):
        Transport(url, None).close()
    assert not read
    Transport("https://127.0.0.1:1", None).close()
    assert read
