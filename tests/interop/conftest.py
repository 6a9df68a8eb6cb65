"""Fixtures of the interoperability tests: the hospital, and what happens where a program is not installed."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import (
    crowdsec,
    dcmtk,
    fail2ban,
    kerberos,
    openid_provider,
    openldap,
    orthanc,
    prometheus,
    rsyslog,
    saml_provider,
    sites,
)
from lab.hospital import Hospital, Route, hospital

HERE = Path(__file__).parent
COMPONENTS: dict[str, tuple[Path, ...]] = {
    "dcmtk": tuple(dcmtk.BIN / program for program in dcmtk.PROGRAMS),
    "orthanc": (orthanc.PROGRAM,),
    "openid": (openid_provider.NODE, openid_provider.PACKAGE),
    "xmlsec1": (saml_provider.PROGRAM,),
    "openldap": openldap.PROGRAMS,
    "kerberos": kerberos.PROGRAMS,
    # /root is entered by root only, and only root makes network namespaces.
    "namespaces": (Path("/usr/sbin/nft"), Path("/usr/sbin/ip"), Path("/root")),
    "ipsec": sites.IPSEC,
    "wireguard": sites.WIREGUARD,
    "prometheus": (prometheus.PROGRAM, prometheus.PROMTOOL),
    "rsyslog": (rsyslog.PROGRAM,),
    "fail2ban": (fail2ban.PROGRAM,),
    "crowdsec": (crowdsec.PROGRAM,),
    "chromium": (Path("/usr/bin/chromium"),),
    # Only root may capture, as above.
    "tcpdump": (Path("/usr/bin/tcpdump"), Path("/root")),
}
"""What a test may require, and the programs it consists of."""
PACKAGES = ("gssapi", "signxml", "sslyze", "vici")
"""Optional Python packages that a test may require."""


def skip_reasons() -> dict[str, str]:
    """The reasons in skips.toml, by component."""
    tables = tomllib.loads((HERE / "skips.toml").read_text(encoding="utf-8"))
    return {component: str(table["reason"]) for component, table in tables.items()}


def require(component: str, programs: tuple[Path, ...] | None = None) -> None:
    """Skip with the listed reason if a component is missing; fail if DICOMGATE_REQUIRE_LAB=1."""
    missing = [path for path in programs or COMPONENTS[component] if not os.access(path, os.X_OK)]
    if missing:
        reason = f"{skip_reasons()[component]} (no {', '.join(map(str, missing))})"
        if os.environ.get("DICOMGATE_REQUIRE_LAB") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def require_package(name: str) -> None:
    """Skip with the listed reason if an optional Python package is missing; fail if DICOMGATE_REQUIRE_LAB=1."""
    if importlib.util.find_spec(name) is None:
        reason = f"{skip_reasons()[name]} (no {name})"
        if os.environ.get("DICOMGATE_REQUIRE_LAB") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def _routes() -> list[Route]:
    """DICOMGATE_LAB_ROUTE=direct or both runs the scenarios without the gate (too): is the lab itself sound?"""
    chosen = os.environ.get("DICOMGATE_LAB_ROUTE", "gate")
    return list(Route) if chosen == "both" else [Route(chosen)]


@pytest.fixture(scope="session", params=_routes())
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """One of everything, started once."""
    for component in ("dcmtk", "orthanc"):
        require(component)
    with hospital(tmp_path_factory.mktemp("hospital"), request.param) as running:
        yield running


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openldap.OpenLdap]:
    """A directory with people and groups."""
    require("openldap")
    with openldap.openldap(tmp_path_factory.mktemp("openldap") / "clinic") as running:
        yield running


@pytest.fixture(scope="session")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kerberos.Realm]:
    """A Kerberos realm with people and services."""
    require("kerberos")
    require_package("gssapi")
    with kerberos.kerberos(tmp_path_factory.mktemp("kerberos") / "realm") as running:
        yield running
