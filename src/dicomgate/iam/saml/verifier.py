"""Assertions of a SAML 2.0 identity provider: claims in, a verified user or a refusal out.

DICOM says only that the field holds an assertion (PS3.7 D.3.3.7): taken are XML in UTF-8 and base64 of it. A response
around an assertion and an encrypted assertion are refused.
"""

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

from dicomgate.iam.saml.assertion import (
    Assertion,
    WrongAssertionError,
    is_one_assertion,
    issuer_of,
    judge_assertion,
    read_assertion,
)
from dicomgate.iam.saml.replays import Novelty, Replays
from dicomgate.iam.saml.settings import SamlSettings
from dicomgate.iam.watched_files import FilesError, WatchedFiles
from dicomgate.identity.claims import LONGEST_NAME, Claims, SamlAssertion
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.text import is_plain_text

if TYPE_CHECKING:
    from dicomgate.iam.saml.metadata import IdentityProvider

LONGEST_ASSERTION = 0xFFFF
"""Bytes: the field's length has 16 bits (PS3.7 D.3.3.7.1)."""
MOST_GROUPS = 1000


class SamlVerifier:
    """A Verifier. `replays` outlives it when the configuration is read anew: hand the same one to the next."""

    identity_types = frozenset({IdentityType.SAML})

    def __init__(self, settings: SamlSettings, replays: Replays) -> None:
        self.name = settings.name
        self._settings = settings
        self._replays = replays
        paths = settings.certificates if settings.metadata is None else (settings.metadata,)
        self._provider = WatchedFiles(paths, lambda: identity_provider(settings))

    def verify(self, claims: Claims, now: float) -> Verification:
        from dicomgate.iam.saml.signature import (  # noqa: PLC0415 - an extra
            WrongSignatureError,
            WrongXmlError,
            parse_plain,
            signed_element,
        )

        if not isinstance(claims.credential, SamlAssertion):
            return Refuted(Cause.NOT_MINE, "not an assertion")
        try:
            provider = self._provider.current()
        except FilesError as error:
            return Unavailable(str(error))
        raw = _xml(claims.credential.assertion)
        if raw is None:
            return Refuted(Cause.MALFORMED, f"expected XML of at most {LONGEST_ASSERTION} bytes, or base64 of it")
        try:
            root = parse_plain(raw)
            if not is_one_assertion(root):
                return Refuted(Cause.MALFORMED, "expected one SAML 2.0 assertion, not encrypted, and nothing around it")
            # Not believed yet: it only says which verifier this is for.
            if issuer_of(root) != provider.entity_id:
                return Refuted(Cause.NOT_MINE, "the assertion names another issuer")
            assertion = read_assertion(signed_element(root, provider.certificates, now))
        except WrongSignatureError as error:
            return Refuted(Cause.WRONG_CREDENTIAL, str(error))
        except (WrongXmlError, WrongAssertionError) as error:
            return Refuted(Cause.MALFORMED, str(error))
        return self._judge(assertion, provider.entity_id, claims, now)

    def close(self) -> None:
        """Nothing is held open."""

    def _judge(self, assertion: Assertion, issuer: str, claims: Claims, now: float) -> Verification:
        """What the issuer has signed; from here on nothing else is looked at."""
        settings = self._settings
        if assertion.issuer != issuer:
            return Refuted(Cause.WRONG_CREDENTIAL, "the assertion names another issuer")
        user = self._user(assertion)
        if user is None:
            where = settings.user_attribute or "NameID, which may not be transient"
            reason = f"expected one user name of 1 to {LONGEST_NAME} printable characters as {where}"
            return Refuted(Cause.MALFORMED, reason)
        refusal = judge_assertion(
            assertion, settings.audience, settings.recipients, claims.origin, settings.leeway, now
        )
        if refusal is not None:
            return Refuted(refusal.cause, refusal.reason, user)
        groups = assertion.attributes.get(settings.groups_attribute, ())
        if len(groups) > MOST_GROUPS:
            return Refuted(
                Cause.MALFORMED, f"expected at most {MOST_GROUPS} values of {settings.groups_attribute}", user
            )
        if assertion.one_time or not settings.reuse:
            used = self._judge_novelty(assertion, user, now)
            if used is not None:
                return used
        expires = assertion.not_on_or_after if assertion.session_end is None else assertion.session_end
        # Zero length: the standard names a SAML response here and says nothing of its content (PS3.7 D.3.3.7.2).
        return Verified(Principal(user, self.name, claims.identity_type, frozenset(groups), expires=expires))

    def _user(self, assertion: Assertion) -> str | None:
        if self._settings.user_attribute is None:
            name = assertion.name
        else:
            values = assertion.attributes.get(self._settings.user_attribute, ())
            name = values[0] if len(values) == 1 else None
        return name if name and len(name) <= LONGEST_NAME and is_plain_text(name) else None

    def _judge_novelty(self, assertion: Assertion, user: str, now: float) -> Refuted | Unavailable | None:
        if assertion.issued < self._replays.since:
            reason = "the assertion is older than this gate's start: whether it was used before is not known"
            return Refuted(Cause.REPLAYED, reason, user)
        identifier = hashlib.sha256(f"{assertion.issuer}\0{assertion.identifier}".encode()).digest()
        match self._replays.note(identifier, assertion.not_on_or_after + self._settings.leeway, now):
            case Novelty.NEW:
                return None
            case Novelty.SEEN:
                return Refuted(Cause.REPLAYED, "the assertion has been used before", user)
            case Novelty.FULL:
                return Unavailable("too many assertions have been used lately to tell whether this one was")


def identity_provider(settings: SamlSettings) -> "IdentityProvider":
    """Whose assertions are taken, from the files that the settings name. OSError, or ValueError with a text to show."""
    from dicomgate.iam.saml.metadata import IdentityProvider, read_certificates, read_metadata  # noqa: PLC0415 - an extra

    if settings.metadata is not None:
        return read_metadata(settings.metadata, settings.issuer)
    found = [certificate for path in settings.certificates for certificate in read_certificates(path)]
    return IdentityProvider(settings.issuer or "", tuple(found))


def _xml(raw: bytes) -> bytes | None:
    """The document, also where it came as base64. Some clients pad it to even length."""
    raw = raw.strip(b" \t\r\n\0")
    if len(raw) > LONGEST_ASSERTION:
        return None
    if raw.startswith((b"<", b"\xef\xbb\xbf<")):
        return raw
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error:
        return None
