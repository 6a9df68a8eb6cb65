"""Assertions by the hundred, signed in this process, and a verifier that trusts who signs them."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from dicomgate.iam.saml.replays import Replays
from dicomgate.iam.saml.settings import SamlSettings
from dicomgate.iam.saml.verifier import SamlVerifier
from dicomgate.identity.claims import SamlAssertion
from dicomgate.identity.verifier import Verification
from iam.claims import claims
from lab.saml_provider import ENTITY, GATE, RECIPIENT, SAML, SIGNATURE, SamlProvider, Statement

NOW = float(int(time.time()))
"""The present: certificates are made in it. Nothing else is read from the clock."""
SAYS = Statement(NOW)


@cache
def idp() -> SamlProvider:
    return SamlProvider(Path(mkdtemp()))


@cache
def stranger() -> SamlProvider:
    return SamlProvider(Path(mkdtemp()))


def signed(statement: Statement = SAYS, by: SamlProvider | None = None, **choices: Any) -> bytes:
    """`choices` are those of the signer."""
    placed = statement.xml(f'<ds:Signature xmlns:ds="{SIGNATURE}" Id="placeholder"/>')
    provider = by or idp()
    chosen = {"c14n_algorithm": CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0, **choices}
    root = etree.fromstring(placed)
    found = XMLSigner(**chosen).sign(
        root,
        key=provider.key,
        cert=provider.identity.certificate.read_text(),
        reference_uri=root.get("ID"),
        id_attribute="ID",
    )
    return bytes(etree.tostring(found))


def verifier(replays: Replays | None = None, **settings: Any) -> SamlVerifier:
    chosen = {
        "audience": GATE,
        "recipients": frozenset({RECIPIENT}),
        "metadata": idp().metadata,
        "user_attribute": None,
        **settings,
    }
    return SamlVerifier(SamlSettings("saml", **chosen), replays or Replays(since=0))


def judged(assertion: bytes, now: float = NOW, certificate: str | None = None, **settings: Any) -> Verification:
    """By a gate that has never seen an assertion."""
    return verifier(**settings).verify(claims(SamlAssertion(assertion), certificate), now)


__all__ = ["ENTITY", "GATE", "NOW", "RECIPIENT", "SAML", "SAYS", "SIGNATURE", "Statement"]
