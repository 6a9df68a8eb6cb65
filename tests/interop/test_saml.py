"""Assertions that xmlsec1 has signed: another implementation of XML signatures agrees about what they cover."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomgate.iam.saml.replays import Replays
from dicomgate.iam.saml.settings import SamlSettings
from dicomgate.iam.saml.verifier import SamlVerifier
from dicomgate.identity.claims import SamlAssertion
from dicomgate.identity.verifier import Cause, Refuted, Verification, Verified
from iam.claims import claims
from interop.conftest import require, require_package
from lab.pki import now
from lab.saml_provider import GATE, PROGRAM, RECIPIENT, SamlProvider, Statement

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> SamlProvider:
    require("xmlsec1")
    require_package("signxml")
    return SamlProvider(tmp_path_factory.mktemp("idp"))


def judged(idp: SamlProvider, assertion: bytes) -> Verification:
    settings = SamlSettings("saml", GATE, frozenset({RECIPIENT}), metadata=idp.metadata)
    return SamlVerifier(settings, Replays(since=0)).verify(claims(SamlAssertion(assertion)), now().timestamp())


def test_an_assertion_of_another_implementation_is_believed(idp: SamlProvider) -> None:
    says = Statement(now().timestamp(), name="Jürgen Groß &amp; Søn", groups=("radiologists", "CN=Night <Shift>"))
    found = judged(idp, idp.sign(says))
    assert isinstance(found, Verified), found
    assert found.principal.name == "Jürgen Groß & Søn"
    assert found.principal.groups == {"radiologists", "CN=Night <Shift>"}


@pytest.mark.parametrize("former", [b"alice", b"radiologists", b"2.0", b"bearer"])
def test_one_that_was_changed_is_not(idp: SamlProvider, former: bytes) -> None:
    good = idp.sign(Statement(now().timestamp()))
    assert isinstance(judged(idp, good), Verified)
    assert isinstance(judged(idp, good.replace(former, former.swapcase().replace(b"2.0", b"2.1"))), Refuted)


def test_one_that_somebody_else_has_signed_is_not(idp: SamlProvider, tmp_path: Path) -> None:
    assert PROGRAM.exists()
    found = judged(idp, SamlProvider(tmp_path).sign(Statement(now().timestamp())))
    assert isinstance(found, Refuted)
    assert found.cause is Cause.WRONG_CREDENTIAL
