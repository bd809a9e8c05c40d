"""Who work may fetch packages from: the setting, the server's own indexes, what work is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.errors import InvalidSpec
from nacre.plugins.environments.indexes import read_indexes
from nacre.ports.environments import Indexes
from nacre.proxy.package_hosts import DEFAULT_PACKAGE_HOSTS
from nacre.server.packages import launch_packages, make_package_proxy
from nacre.server.settings import Settings, read_settings


def allowed(settings: Settings, found: Indexes, host: str, port: int = 443) -> bool:
    return make_package_proxy(settings, found)._hosts.allows(host, port, 443)


def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hosts: str | None) -> Settings:
    monkeypatch.setenv("NACRE_HOME", str(tmp_path))
    if hosts is None:
        monkeypatch.delenv("NACRE_PACKAGE_HOSTS", raising=False)
    else:
        monkeypatch.setenv("NACRE_PACKAGE_HOSTS", hosts)
    return read_settings()


def bare(tmp_path: Path, **variables: str) -> dict[str, str]:
    """Variables of a user without settings, and these."""
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        **variables,
    }


def test_well_known_hosts_are_allowed_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = settings(monkeypatch, tmp_path, None)
    assert all(allowed(usual, Indexes(), host) for host in DEFAULT_PACKAGE_HOSTS)
    assert not allowed(usual, Indexes(), "mirror.lab")
    more = settings(monkeypatch, tmp_path, "default, Mirror.lab:8443")
    assert allowed(more, Indexes(), "pypi.org")
    assert allowed(more, Indexes(), "mirror.lab", 8443)
    assert not allowed(more, Indexes(), "mirror.lab")
    only = settings(monkeypatch, tmp_path, "mirror.lab")
    assert allowed(only, Indexes(), "mirror.lab")
    assert not allowed(only, Indexes(), "pypi.org")
    assert allowed(only, Indexes(frozenset({"index.lab"})), "index.lab"), "the server's own index"


@pytest.mark.parametrize(
    "wrong", ["https://pypi.org", "pypi.org/simple", "*.pypi.org", "a:0", "a:99999", "a b_:x", "[::1"]
)
def test_what_is_no_host_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    with pytest.raises(InvalidSpec, match="NACRE_PACKAGE_HOSTS has"):
        settings(monkeypatch, tmp_path, wrong)


def test_work_is_told_of_the_servers_indexes_without_names_and_passwords(tmp_path: Path) -> None:
    found = read_indexes(
        bare(
            tmp_path,
            PIP_INDEX_URL="https://me:secret-word@mirror.lab:8443/simple",
            PIP_EXTRA_INDEX_URL="http://plain.lab/simple https://tls.lab:443/simple",
            UV_INDEX="torch=https://me:secret-word@download.pytorch.org/whl/cpu",
            HTTPS_PROXY="http://me:secret-word@proxy.lab:3128",
            NO_PROXY="near.lab",
        )
    )
    told = launch_packages(found)
    assert told.variables == {
        "PIP_INDEX_URL": "https://mirror.lab:8443/simple",
        "PIP_EXTRA_INDEX_URL": "http://plain.lab/simple https://tls.lab/simple",
        "UV_INDEX": "torch=https://download.pytorch.org/whl/cpu",
    }
    assert "secret-word" not in told.model_dump_json()
    assert found.hosts == {"mirror.lab:8443", "plain.lab", "tls.lab", "download.pytorch.org"}
    assert found.proxies == {"https": "http://me:secret-word@proxy.lab:3128", "no": "near.lab"}


def test_local_indexes_and_own_certificates_are_shown(tmp_path: Path) -> None:
    simple, wheels = tmp_path / "index" / "simple", tmp_path / "wheels"
    simple.mkdir(parents=True)
    wheels.mkdir()
    (tmp_path / "ca.pem").write_text("certificate")
    found = read_indexes(
        bare(
            tmp_path,
            PIP_INDEX_URL=f"file://{simple}",
            PIP_FIND_LINKS=f"{wheels} {tmp_path}/absent",
            PIP_CERT=f"{tmp_path}/ca.pem",
        )
    )
    assert found.shown == (f"{tmp_path}/ca.pem", f"{tmp_path}/index", f"{wheels}")
    assert found.variables["PIP_CERT"] == found.variables["SSL_CERT_FILE"] == f"{tmp_path}/ca.pem"
    assert found.variables["UV_FIND_LINKS"] == f"{wheels},{tmp_path}/absent"
    assert found.hosts == frozenset()
