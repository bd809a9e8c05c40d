"""Packages for work of projects whose network is ``packages``: who they come from, and the way there."""

from __future__ import annotations

from nacre.ports.environments import Environments, Indexed, Indexes
from nacre.proxy.package_hosts import DEFAULT_PACKAGE_HOSTS, PackageHosts
from nacre.proxy.packages import PackageProxy
from nacre.schema.launch import LaunchPackages
from nacre.server.settings import DEFAULT, Settings


def indexes_of(environments: Environments) -> Indexes:
    """What the builder of environments knows of package indexes."""
    return environments.indexes() if isinstance(environments, Indexed) else Indexes()


def launch_packages(found: Indexes) -> LaunchPackages:
    """What work is told, so that it installs from where environments come from."""
    return LaunchPackages(uv=found.uv, variables=found.variables, shown=list(found.shown))


def make_package_proxy(settings: Settings, found: Indexes) -> PackageProxy:
    """The proxy for the hosts of the setting and those that pip and uv of this server are told."""
    named = {host for host in settings.package_hosts if host != DEFAULT}
    default = DEFAULT_PACKAGE_HOSTS if DEFAULT in settings.package_hosts else ()
    return PackageProxy(PackageHosts(named | found.hosts, default), found.proxies)
