"""Issue, renew, revoke, list: what the authority does, and what it refuses."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from dicomgate.config.schema import PeerTable
from dicomgate.pki import commands
from dicomgate.pki.authority import serial_text
from dicomgate.pki.certificates import list_days, list_number
from dicomgate.pki.names import Holder, ip_address
from dicomgate.pki.problem import PkiError
from dicomgate.pki.words import KeyKind, Reason, Usage, Validity
from pki.scene import NOBODY, NOW, Site, days, secret, site


def test_both_authorities_are_what_they_should_be(north: Site) -> None:
    authority = north.load()
    for certificate, length in ((authority.root, 1), (authority.issuing, 0)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.critical, basic.value) == (True, x509.BasicConstraints(ca=True, path_length=length))
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        digest = certificate.signature_hash_algorithm
        assert digest is not None
        assert digest.name == "sha256"
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert authority.issuing.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert list_number(authority.issuing_list) == list_number(authority.root_list) == 1


def test_a_device_gets_what_was_asked_for(north: Site) -> None:
    north.issue(ae="CT 1", host="ct1.north.example", address="127.0.0.1")
    one = north.current()
    assert one.holder == Holder("ct-1", ("CT 1",), ("ct1.north.example",), (ip_address("127.0.0.1"),), Usage.BOTH)
    names = one.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["dicom-ae:CT%201"]
    assert one.certificate.not_valid_after_utc == NOW + days(30)
    assert one.certificate.not_valid_before_utc < NOW


@pytest.mark.parametrize(
    ("usage", "purposes"),
    [
        (Usage.SERVER, [x509.ExtendedKeyUsageOID.SERVER_AUTH]),
        (Usage.CLIENT, [x509.ExtendedKeyUsageOID.CLIENT_AUTH]),
        (Usage.BOTH, [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]),
    ],
)
def test_the_purpose_is_the_one_asked_for(north: Site, usage: Usage, purposes: list[x509.ObjectIdentifier]) -> None:
    north.issue(usage=usage)
    one = north.current()
    assert list(one.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == purposes
    assert one.holder.usage is usage


def test_a_name_has_one_certificate_until_it_is_renewed_or_revoked(north: Site) -> None:
    north.issue()
    with pytest.raises(PkiError, match=r"ct-1: has a certificate already"):
        north.issue()
    north.revoke("ct-1")
    north.issue()
    assert len(north.load().issued) == 2


def test_a_name_is_free_when_its_certificate_has_ended(north: Site) -> None:
    north.issue(days=1)
    north.issue(at=NOW + days(2))


def test_renewing_makes_a_new_key_of_the_same_kind(north: Site) -> None:
    north.issue(kind=KeyKind.RSA)
    before = north.current()
    north.renew()
    after = north.current()
    assert after.holder == before.holder
    assert after.spki != before.spki
    key = after.certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 3072


def test_renewing_can_keep_the_key_again_and_again(north: Site) -> None:
    north.issue()
    first = north.current()
    report = north.renew(same_key=True)
    second = north.current()
    assert (second.spki, second.sha256 == first.sha256) == (first.spki, False)
    assert any(f"revoke {first.serial}" in note for note in report.notes)
    north.revoke(first.serial, reason=Reason.SUPERSEDED)
    north.renew(same_key=True)
    north.revoke(second.serial, reason=Reason.KEY_COMPROMISE)
    with pytest.raises(PkiError, match="belongs to the revoked certificate"):
        north.renew(same_key=True)


def test_what_is_revoked_is_not_renewed(north: Site) -> None:
    north.issue()
    north.revoke("ct-1")
    with pytest.raises(PkiError, match="is revoked"):
        north.renew()


def test_revoking_a_name_revokes_all_that_have_not_ended(north: Site) -> None:
    north.issue()
    north.renew()
    north.issue("ct-2", "CT2", "ct2.north.example")
    report = north.revoke("ct-1", reason=Reason.KEY_COMPROMISE)
    authority = north.load()
    assert set(authority.revoked) == {one.certificate.serial_number for one in authority.of("ct-1")}
    assert {revocation.reason for revocation in authority.revoked.values()} == {x509.ReasonFlags.key_compromise}
    assert len([line for line in report.lines if line.startswith("revoked ")]) == 2
    with pytest.raises(PkiError, match="nothing left to revoke"):
        north.revoke("ct-1")


def test_revoking_a_serial_number_leaves_the_others(north: Site) -> None:
    north.issue()
    old = north.current().serial
    north.renew()
    with_colons = ":".join(old[index : index + 2] for index in range(0, 40, 2)).upper()
    north.revoke(with_colons)
    assert [serial_text(number) for number in north.load().revoked] == [old]
    north.renew()


def test_earlier_revocations_stay(north: Site) -> None:
    for number in range(3):
        north.issue(f"ct-{number}", f"CT{number}", f"ct{number}.north.example")
        north.revoke(f"ct-{number}")
    assert len(north.load().revoked) == 3
    assert list_number(north.load().issuing_list) == 4


@pytest.mark.parametrize("target", ["nobody", "../ct-1", "0" * 40, "", "a\nb"])
def test_nobody_unknown_is_revoked(north: Site, target: str) -> None:
    north.issue()
    with pytest.raises(PkiError, match="neither a device nor a serial number"):
        north.revoke(target)
    assert north.load().revoked == {}


def test_lists_are_signed_anew_without_the_root(north: Site, tmp_path: Path) -> None:
    key = (north.folder / "root.key.pem").rename(tmp_path / "root.key.pem")
    report = commands.refresh_lists(north.folder, now=NOW + days(20), ask=NOBODY, days=40)
    authority = north.load()
    assert (list_number(authority.issuing_list), list_number(authority.root_list)) == (2, 1)
    assert list_days(authority.issuing_list) == 40
    assert any("--root-key FILE" in note for note in report.notes)
    north.issue(at=NOW + days(20))
    north.revoke("ct-1", at=NOW + days(20))  # the number of days stays until it is changed
    assert list_days(north.load().issuing_list) == 40
    commands.refresh_lists(north.folder, now=NOW + days(20), ask=NOBODY, root_key=key)
    assert list_number(north.load().root_list) == 2
    assert len(north.load().revoked) == 1


def test_another_key_is_not_taken_for_the_roots(north: Site, tmp_path: Path) -> None:
    other = site(tmp_path / "other")
    with pytest.raises(PkiError, match="is not the key of"):
        commands.refresh_lists(north.folder, now=NOW, ask=NOBODY, root_key=other.folder / "root.key.pem")
    (north.folder / "issuing.key.pem").write_bytes((other.folder / "issuing.key.pem").read_bytes())
    with pytest.raises(PkiError, match="is not the key of"):
        north.issue()
    assert north.load().issued == ()


def test_the_roots_key_can_be_born_elsewhere(tmp_path: Path) -> None:
    stick = tmp_path / "stick.pem"
    commands.init(tmp_path / "pki", name="North", permit=["any"], now=NOW, root_key=stick)
    assert stick.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "pki" / "root.key.pem").exists()
    with pytest.raises(PkiError, match="exists already"):
        commands.init(tmp_path / "new", name="North", permit=["any"], now=NOW, root_key=stick)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten_by_init(north: Site) -> None:
    before = (north.folder / "ca.pem").read_bytes()
    with pytest.raises(PkiError, match="exists already"):
        site(north.folder)
    assert (north.folder / "ca.pem").read_bytes() == before


def test_the_issuing_authority_does_not_outlive_the_root(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="outlive"):
        site(tmp_path / "pki", validity=Validity(root=10, issuing=11))


@pytest.mark.parametrize(("host", "address"), [("ct1.south.example", None), (None, "10.9.9.9"), (None, "::1")])
def test_names_outside_of_the_bounds_are_not_signed(north: Site, host: str | None, address: str | None) -> None:
    with pytest.raises(PkiError, match="outside of what this authority may vouch for"):
        north.issue(host=host, address=address)
    assert north.load().issued == ()


@pytest.mark.parametrize(
    ("at", "because"),
    [
        (NOW - days(1), "begins at"),
        (NOW + days(3651), "has ended at"),
    ],
)
def test_a_wrong_clock_or_an_ended_authority_signs_nothing(north: Site, at: datetime, because: str) -> None:
    for change in (
        lambda: north.issue(at=at),
        lambda: commands.refresh_lists(north.folder, now=at, ask=NOBODY),
    ):
        with pytest.raises(PkiError, match=because):
            change()


def test_a_clock_that_went_back_signs_nothing(north: Site) -> None:
    commands.refresh_lists(north.folder, now=NOW + days(10), ask=NOBODY)
    with pytest.raises(PkiError, match="the clock went back"):
        north.issue(at=NOW)


@pytest.mark.parametrize("count", [0, -1, 3651, 10**6])
def test_no_device_outlives_the_authority(north: Site, count: int) -> None:
    with pytest.raises(PkiError, match="expected 1 to 3650 days"):
        north.issue(days=count)


def test_shared_names_are_told(north: Site) -> None:
    north.issue()
    report = north.issue("ct-2", "CT1", "ct2.north.example")
    assert 'ct-2: warning: "CT1" is also in the certificate of ct-1' in report.notes


def test_the_list_shows_everything(north: Site) -> None:
    north.issue()
    north.renew()
    old, new = north.load().of("ct-1")
    north.revoke(old.serial, reason=Reason.SUPERSEDED)
    north.issue("ct-2", "CT2", "ct2.north.example", days=10)
    report = commands.listing(north.folder, now=NOW + days(5), as_json=True)
    rows = [json.loads(line) for line in report.lines]
    assert [(row["kind"], row["name"], row["state"], row["days_left"]) for row in rows[:4]] == [
        ("root", "North Clinic", "valid", 7295),
        ("issuing", "North Clinic", "valid", 3645),
        ("root-crl", "North Clinic", "valid", 360),
        ("issuing-crl", "North Clinic", "valid", 25),
    ]
    devices = {row["serial"]: row for row in rows if row["kind"] == "device"}
    assert (devices[old.serial]["state"], devices[old.serial]["reason"]) == ("revoked", "superseded")
    assert (devices[new.serial]["state"], devices[new.serial]["days_left"]) == ("valid", 25)
    assert devices[new.serial]["sha256"] == new.sha256
    assert [note for note in report.notes if note.startswith("ct-2: warning: device ends at")]
    ended = commands.listing(north.folder, now=NOW + days(11))
    assert any(line.startswith("device") and " ct-2 " in line and " expired " in line for line in ended.lines)
    assert [note for note in ended.notes if note.startswith("ct-2: warning: device has ended at")]


def test_no_warning_is_given_without_need(north: Site) -> None:
    north.issue(days=300)
    assert commands.listing(north.folder, now=NOW).notes == ()
    soon = commands.listing(north.folder, now=NOW + days(24)).notes
    assert [note.split(" ends at")[0] for note in soon] == ["North Clinic: warning: issuing-crl"]


def test_the_peer_block_fits_the_configuration(north: Site) -> None:
    report = north.issue(ae='C"T 1', address="127.0.0.1")
    start = report.lines.index("[[peer]]")
    (peer,) = tomllib.loads("\n".join(report.lines[start:]))["peer"]
    one = north.current()
    table = PeerTable.model_validate(peer)
    proofs = [str(pattern) for pattern in table.certificates]
    assert proofs == ["dns:ct1.north.example", f"sha256:{one.sha256}", f"spki:{one.spki}"]
    assert (table.name, peer["ae_titles"], peer["networks"]) == ("ct-1", ['C"T 1'], ["127.0.0.1/32"])
    assert peer["may"] == []


def test_a_device_without_an_ae_title_or_that_is_only_called_is_no_peer(north: Site) -> None:
    assert "[[peer]]" not in north.issue("gate", "", "gate.north.example").lines
    assert "[[peer]]" not in north.issue("pacs", "PACS", "pacs.north.example", usage=Usage.SERVER).lines


def test_the_lines_can_be_shown_again(north: Site) -> None:
    report = north.issue()
    assert commands.show(north.folder, "ct-1", now=NOW).lines == report.lines
    north.revoke("ct-1")
    assert commands.show(north.folder, "ct-1", now=NOW).notes[0].endswith("is revoked")
    for unknown in ("ct-2", "lock"):
        with pytest.raises(PkiError, match=r"does not exist|no device"):
            commands.show(north.folder, unknown, now=NOW)


def test_a_key_store_opens_with_its_passphrase(north: Site, tmp_path: Path) -> None:
    north.issue(p12=secret(tmp_path / "pw", "correct horse battery"))
    data = north.device("ct-1", "device.p12").read_bytes()
    key, certificate, more = pkcs12.load_key_and_certificates(data, b"correct horse battery")
    assert key is not None
    assert certificate == north.current().certificate
    assert set(more) == {north.load().issuing, north.load().root}
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(data, b"wrong horse battery")
    assert any("PKCS#12" in note for note in north.renew().notes)


def test_many_devices_are_listed_in_order(north: Site) -> None:
    for number in (3, 1, 2):
        north.issue(f"ct-{number}", f"CT{number}", f"ct{number}.north.example")
    rows = [json.loads(line) for line in commands.listing(north.folder, now=NOW, as_json=True).lines]
    assert [row["name"] for row in rows[4:]] == ["ct-1", "ct-2", "ct-3"]
