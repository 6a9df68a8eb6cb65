"""Names, AE titles, networks, UIDs and status codes: agreement with what the policy and the wire accept."""

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.config import words
from dicomgate.policy.model import AeTitlePattern, Networks
from dicomgate.wire.codes import status_class
from dicomgate.wire.text import is_valid_ae_title


@given(st.text(max_size=18) | st.text("AB *?\\", max_size=18))
def test_titles_are_those_that_can_arrive_trimmed(text: str) -> None:
    arrives = is_valid_ae_title(text) and text == text.strip()
    for read, wanted in (
        (words.ae_title, arrives and "*" not in text and "?" not in text),
        (words.ae_title_pattern, arrives and "**" not in text),
    ):
        try:
            read(text)
            accepted = True
        except ValueError:
            accepted = False
        assert accepted is wanted


def test_titles_of_peers_are_patterns() -> None:
    assert words.ae_title_pattern("CT?") == AeTitlePattern("CT?")


def test_keep_means_no_replacement() -> None:
    assert words.calling_ae("keep") is None
    assert words.calling_ae("KEEP") == "KEEP"


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_networks_with_host_bits_are_refused_with_the_right_one(address: object, length: int) -> None:
    meant = ip_network(f"{address}/{length}", strict=False)
    assert Networks.of([words.network(str(meant))]).members == (meant,)
    if str(meant) != f"{address}/{length}":
        with pytest.raises(ValueError, match=re.escape(f'write "{meant}" for the network, or "{address}"')):
            words.network(f"{address}/{length}")


@pytest.mark.parametrize("text", ["fe80::1%eth0", "10.1.2.3 ", "", "10.0.0.0/8/8", "*", "ANY", "10.1.2.", "archive"])
def test_no_networks(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an address, a CIDR|^expected a network without a zone"):
        words.network(text)


@pytest.mark.parametrize(
    ("written", "uid"),
    [
        ("CTImageStorage", "1.2.840.10008.5.1.4.1.1.2"),
        ("Verification", "1.2.840.10008.1.1"),
        ("BasicGrayscalePrintManagementMeta", "1.2.840.10008.5.1.1.9"),
        ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        ("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.1"),
    ],
)
def test_sop_classes(written: str, uid: str) -> None:
    assert words.sop_class(written) == uid


@pytest.mark.parametrize(
    ("written", "uid"), [("ImplicitVRLittleEndian", "1.2.840.10008.1.2"), ("HTJ2K", "1.2.840.10008.1.2.4.203")]
)
def test_transfer_syntaxes(written: str, uid: str) -> None:
    assert words.transfer_syntax(written) == uid


@pytest.mark.parametrize("written", ["", "any", "1.2.", "1." * 40 + "1", "JPEG2000", "SMPTE", 1.2, None])
def test_no_sop_classes(written: object) -> None:
    with pytest.raises(ValueError, match="expected a SOP class"):
        words.sop_class(written)


@given(st.integers(-10, 0x20000))
def test_only_failures_of_three_classes_refuse_a_query(status: int) -> None:
    allowed = (
        0 <= status <= 0xFFFF and status_class(status) == "failure" and f"{status:04X}".startswith(("A", "C", "01"))
    )
    if allowed:
        assert words.failure_status(status) == status
    else:
        with pytest.raises(ValueError, match="expected a failure status"):
            words.failure_status(status)
