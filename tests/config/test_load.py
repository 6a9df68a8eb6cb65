"""Whole files: what becomes of each key, what a file that cannot be read says, what a reload compares."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from dicomgate.config.load import LARGEST_FILE, Configuration, load
from dicomgate.config.problem import ConfigurationError, Problem, Severity
from dicomgate.gate.settings import ConnectionLimits, ListenerSettings
from dicomgate.policy.model import AeTitlePattern, Archive, Assurance, Endpoint, Listener, Mode, Networks, Peer, Verb
from dicomgate.session.limits import SessionLimits

MINIMAL = """\
[[listener]]
name = "inside"
bind = "10.1.1.5:104"
networks = ["10.1.0.0/16"]
[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"
[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.2.31"]
assurance = "address"
may = ["echo", "store"]
"""

SAMPLE = """\
[gate]
name = "north-clinic"
state = "sqlite:///state/gate.db"         # or postgresql://… (many gates)
# shared = "valkey://…"                   # counters and bans shared by many gates
mode = "enforce"                          # "monitor": judge and record, let pass what a peer rule would refuse
refusals = "precise"                      # or "uniform"

[[listener]]
name = "outside"
bind = "0.0.0.0:2762"
networks = ["any"]                        # who may even connect
tls = { certificate = "pki/gate.crt", key = "pki/gate.key", client_ca = "pki/ca.crt", profile = "bcp195" }
proxy_protocol_from = []                  # load balancers that must send PROXY v1/v2

[[listener]]
name = "inside"
bind = "10.1.1.5:104"
networks = ["10.1.0.0/16"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"
# tls = { ca = "…", certificate = "…", key = "…" }
# identity = "strip"                      # strip | pass | mint | map
# calling_ae = "keep"                     # or a title
max_associations = 100

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.2.31/32"]
listeners = ["inside"]
assurance = "address"                     # user | device | address
# certificates = ["dns:ct1.north.example", "sha256:9f…", "spki:…"]
may = ["echo", "store"]
archive = "main"
address = "10.1.2.31:104"                 # where it listens, if the archive may call it back

[[peer]]
name = "teleradiology"
ae_titles = ["TELE*"]
networks = ["any"]
listeners = ["outside"]
assurance = "user"
may = ["echo", "find", "get", "move"]
move_to = ["self"]                        # AE titles, peer names, or "self"
archive = "main"

[[role]]
name = "radiologist"
groups = ["CN=Radiology,OU=Groups,DC=clinic,DC=example"]
may = ["echo", "find", "get", "move"]

[[verifier]]
name = "staff"
kind = "oidc"                             # local | ldap | oidc | kerberos | saml
issuer = "https://login.clinic.example"
audience = "dicomgate"
# ca = "pki/clinic-ca.pem"

[[sink]]
name = "repository"
kind = "syslog"                           # syslog | fhir | jsonl | alert
address = "10.1.1.30:6514"
tls = { ca = "pki/ca.crt", certificate = "pki/gate.crt", key = "pki/gate.key" }

[limits]
associations = 2000
associations_per_peer = 100
associations_per_address = 200
half_open_per_address = 20
associate_pdu = "1 MiB"
associate_deadline = "15 s"
[audit]
[metrics]
bind = "127.0.0.1:9108"
"""

FULL = """\
[gate]
name = "north-clinic"
state = "sqlite:////var/lib/dicomgate/gate.db"
mode = "monitor"
refusals = "uniform"
find_refusal_status = 0xA700

[[listener]]
name = "inside"
bind = "[fd00::5]:104"
networks = ["fd00::/64", "10.1.0.0/16"]
proxy_protocol_from = ["10.1.1.2"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = ["10.1.1.20:11112", "[fd00::20]:104", "archive.example:104"]
networks = ["10.1.1.0/24"]
calling_ae_titles = ["ARCHIVE", "ARCHIVE_SCU"]
calling_ae = "GATE"
identity = "strip"
max_associations = 7

[[archive]]
name = "second"
ae_title = "SECOND"
address = "10.1.1.21:11112"
calling_ae = "keep"

[[peer]]
name = "ws"
ae_titles = ["WS?", "WORK*"]
networks = ["10.1.2.0/24"]
listeners = []
assurance = "address"
may = ["find", "move", "find"]
move_to = ["self", "ct"]
archive = ["second", "main"]
address = "10.1.2.9:104"
sop_classes = ["CTImageStorage", "1.2.840.10008.1.1", "1.3.6.1.4.1.99999.1"]
transfer_syntaxes = ["JPEG2000Lossless"]
max_associations = 3

[[peer]]
name = "ct"
archive = "main"

[limits]
associate_pdu = 65536
pdu = "128 KiB"
idle = "10 min"
absolute = "24 h"
drain = 5
half_open = 50

[audit]
on_failure = "continue"
"""


def loaded(folder: Path, text: str) -> Configuration:
    path = folder / "gate.toml"
    path.write_text(text, "utf-8")
    return load(path)


def refused(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return caught.value.problems


def test_minimal(tmp_path: Path) -> None:
    found = loaded(tmp_path, MINIMAL)
    assert [(problem.key, problem.severity) for problem in found.warnings] == [
        ("peer[ct-1].assurance", Severity.WARNING)
    ]
    assert (found.base, found.state) == (tmp_path, "sqlite:///state/gate.db")
    settings = found.settings
    assert settings.listeners == (ListenerSettings("inside", Endpoint("10.1.1.5", 104)),)
    assert (settings.session, settings.connections) == (SessionLimits(), ConnectionLimits())
    assert settings.on_audit_failure == "refuse"
    assert settings.rules.mode is Mode.ENFORCE
    assert settings.rules.find_refusal_status == 0xC000
    assert settings.rules.listeners == (Listener("inside", Networks.of(["10.1.0.0/16"])),)
    assert settings.rules.archives == (
        Archive(
            name="main",
            ae_title="ARCHIVE",
            endpoints=(Endpoint("10.1.1.20", 11112),),
            networks=Networks.of(["10.1.1.20"]),
            calling_ae_titles=("ARCHIVE",),
        ),
    )
    assert settings.rules.peers == (
        Peer(
            name="ct-1",
            ae_titles=(AeTitlePattern("CT1"),),
            networks=Networks.of(["10.1.2.31"]),
            assurance=Assurance.ADDRESS,
            may=frozenset({Verb.ECHO, Verb.STORE}),
            archives=("main",),
        ),
    )


def test_every_key_arrives(tmp_path: Path) -> None:
    found = loaded(tmp_path, FULL)
    settings, rules = found.settings, found.settings.rules
    assert found.state == "sqlite:////var/lib/dicomgate/gate.db"
    assert settings.name == "north-clinic"
    assert settings.listeners == (ListenerSettings("inside", Endpoint("fd00::5", 104), Networks.of(["10.1.1.2"])),)
    assert settings.session == SessionLimits(associate_pdu=65536, pdu=131072, idle=600.0, absolute=86400.0)
    assert settings.connections == ConnectionLimits(drain=5.0, half_open=50)
    assert settings.on_audit_failure == "continue"
    assert (rules.mode.value, rules.refusals.value, rules.find_refusal_status) == ("monitor", "uniform", 0xA700)
    assert ip_address("fd00::1") in rules.listeners[0].networks
    assert rules.archives == (
        Archive(
            name="main",
            ae_title="ARCHIVE",
            endpoints=(Endpoint("10.1.1.20", 11112), Endpoint("fd00::20", 104), Endpoint("archive.example", 104)),
            networks=Networks.of(["10.1.1.0/24"]),
            calling_ae_titles=("ARCHIVE", "ARCHIVE_SCU"),
            calling_ae="GATE",
            max_associations=7,
        ),
        Archive(
            name="second",
            ae_title="SECOND",
            endpoints=(Endpoint("10.1.1.21", 11112),),
            networks=Networks.of(["10.1.1.21"]),
            calling_ae_titles=("SECOND",),
        ),
    )
    assert rules.peers == (
        Peer(
            name="ws",
            ae_titles=(AeTitlePattern("WS?"), AeTitlePattern("WORK*")),
            networks=Networks.of(["10.1.2.0/24"]),
            listeners=frozenset(),
            assurance=Assurance.ADDRESS,
            may=frozenset({Verb.FIND, Verb.MOVE}),
            move_to=("self", "ct"),
            archives=("second", "main"),
            endpoint=Endpoint("10.1.2.9", 104),
            sop_classes=frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1", "1.3.6.1.4.1.99999.1"}),
            transfer_syntaxes=frozenset({"1.2.840.10008.1.2.4.90"}),
            max_associations=3,
        ),
        Peer(name="ct", archives=("main",)),
    )


def test_a_peer_that_says_nothing_is_allowed_nothing(tmp_path: Path) -> None:
    peer = loaded(tmp_path, FULL).settings.rules.peers[1]
    assert not peer.networks
    assert peer.ae_titles == ()
    assert peer.may == frozenset()
    assert peer.assurance is Assurance.USER


def test_the_sample_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(SAMPLE, "utf-8")
    found = load(path, files=False)
    assert [listener.name for listener in found.settings.rules.listeners] == ["outside", "inside"]
    assert [sink.name for sink in found.sinks] == ["repository"]
    assert found.metrics == Endpoint("127.0.0.1", 9108)


def test_host_names_never_become_networks_of_an_archive(tmp_path: Path) -> None:
    found = loaded(tmp_path, MINIMAL.replace('"10.1.1.20:11112"', '["archive.example:104", "10.1.1.20:104"]'))
    assert found.settings.rules.archives[0].networks == Networks.of(["10.1.1.20"])


def test_equal_files_make_equal_configurations(tmp_path: Path) -> None:
    first = loaded(tmp_path, FULL)
    first.settings.rules.archive_by_title["ARCHIVE"]  # a cached value is no difference
    first.settings.rules.peers[0].has_title("WS1")
    again = loaded(tmp_path, "# a comment\n" + FULL)
    assert again == first
    assert loaded(tmp_path, FULL.replace("drain = 5", "drain = 6")).settings == replace(
        first.settings, connections=replace(first.settings.connections, drain=6.0)
    )
    assert loaded(tmp_path, FULL.replace('"find", "move", "find"', '"move", "find"')).settings == first.settings
    assert loaded(tmp_path, FULL.replace('"find", "move", "find"', '"move"')).settings != first.settings


@pytest.mark.parametrize("prefix", ["\ufeff", "\r\n"])
def test_files_of_other_systems(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_bytes((prefix + MINIMAL.replace("\n", "\r\n")).encode())
    assert load(path).settings.rules.peers[0].name == "ct-1"


def test_relative_path_gives_an_absolute_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(tmp_path, MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load(Path("gate.toml")).base == tmp_path


def test_a_linked_file_keeps_the_folder_of_its_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    loaded(tmp_path / "real", MINIMAL)
    link = tmp_path / "gate.toml"
    link.symlink_to(tmp_path / "real" / "gate.toml")
    assert load(link).base == tmp_path


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    (problem,) = refused(path)
    assert str(problem).startswith(f"{path}: error: expected a file, but there is none\n  hint: ")


def test_directory(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path)
    assert problem.text == "expected a file, came a directory"


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    loaded(tmp_path, MINIMAL)
    (problem,) = refused(tmp_path / "gate.toml" / "gate.toml")
    assert problem.text == "expected a readable file: Not a directory"


def test_impossible_path() -> None:
    (problem,) = refused(Path("gate\0.toml"))
    assert problem.text == "expected a readable file: the path is not valid"


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read everything, so the refusal is made here.
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    (problem,) = refused(tmp_path / "gate.toml")
    assert problem.text == "expected a readable file, but reading it is not permitted"


def test_other_encoding(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_bytes(MINIMAL.encode() + "# Röntgen\n".encode("latin-1"))
    (problem,) = refused(path)
    assert (problem.key, problem.text) == ("line 15", "expected UTF-8 text, came other bytes")


def test_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    (problem,) = refused(path)
    assert problem.text == f"expected at most {LARGEST_FILE} bytes, came more"


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 100_000], ids=["digits", "brackets"])
def test_what_the_toml_parser_itself_trips_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text, "utf-8")
    (problem,) = refused(path)
    assert problem.text == "expected TOML of sane size"


def test_line_of_a_syntax_error_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('[gate]\nname = "x', "utf-8")
    (problem,) = refused(path)
    assert str(problem).startswith(f"{path}:line 2: error: not valid TOML: ")
