"""What the assessor proposes: its own honest names, associations, identifiers and one synthetic object, as bytes."""

import base64
import hashlib
import hmac
import json
import secrets
import struct
import uuid
from dataclasses import dataclass

from dicomgate.assess.dialogue import MAXIMUM_LENGTH
from dicomgate.association.negotiation import IMPLEMENTATION_CLASS_UID
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.pdu import (
    APPLICATION_CONTEXT_NAME,
    AssociateRequest,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from dicomgate.wire.text import AE_TITLE_LENGTH

CALLING = "DICOMGATE"
"""The calling AE title of everything that is not a test of calling AE titles."""
IMPLEMENTATION_VERSION_NAME = "DICOMGATE_ASSESS"

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MODALITY_PERFORMED_PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"


@dataclass(frozen=True, slots=True)
class Offer:
    """One presentation context to propose."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT_LITTLE_ENDIAN,)
    scp_role: bool = False
    """Also propose to receive (PS3.7 D.3.3.4), as a C-GET needs it."""


ECHO = (Offer(VERIFICATION),)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One A-ASSOCIATE-RQ. Two that are equal have the same bytes, but for the called title of the target."""

    offers: tuple[Offer, ...] = ECHO
    called: str | None = None
    """None: the target's own title."""
    calling: str = CALLING
    identity: UserIdentity | None = None
    application_context_name: str = APPLICATION_CONTEXT_NAME

    def request(self, called_ae_title: str) -> AssociateRequest:
        contexts = tuple(
            ProposedContext(2 * position + 1, offer.abstract_syntax, offer.transfer_syntaxes)
            for position, offer in enumerate(self.offers)
        )
        return AssociateRequest(
            _title(self.called or called_ae_title),
            _title(self.calling),
            contexts,
            UserInformation(
                MAXIMUM_LENGTH,
                IMPLEMENTATION_CLASS_UID,
                IMPLEMENTATION_VERSION_NAME,
                role_selections=tuple(
                    RoleSelection(offer.abstract_syntax, scu_role=True, scp_role=True)
                    for offer in self.offers
                    if offer.scp_role
                ),
                user_identity=self.identity,
            ),
            self.application_context_name,
        )


def _title(text: str) -> bytes:
    return text.encode("ascii").ljust(AE_TITLE_LENGTH)


def fresh_uid() -> str:
    """A UID that no archive can hold (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def random_title() -> str:
    """16 characters that nobody has configured."""
    return "DG" + secrets.token_hex(7).upper()


def made_up_passcode() -> UserIdentity:
    """A user that does not exist; a positive response is asked for, since silence proves nothing (PS3.7 D.3.3.7)."""
    user = f"dicomgate-assess-{secrets.token_hex(4)}".encode()
    return UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, user, secrets.token_hex(16).encode())


def wrong_passcode(user: str) -> UserIdentity:
    """A random passcode for a test account."""
    return UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, user.encode(), secrets.token_hex(16).encode())


def unsigned_assertion() -> UserIdentity:
    """A well-formed SAML 2.0 assertion that nobody signed."""
    xml = (
        '<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0" '
        f'ID="_{secrets.token_hex(8)}" IssueInstant="2026-01-01T00:00:00Z"><saml:Issuer>urn:dicomgate:assess'
        "</saml:Issuer><saml:Subject><saml:NameID>dicomgate-assess</saml:NameID></saml:Subject></saml:Assertion>"
    )
    return UserIdentity(IdentityType.SAML, True, xml.encode())


def junk_ticket() -> UserIdentity:
    """A GSS-API token with the Kerberos mechanism's OID and random bytes where an AP-REQ is due (RFC 4121 4.1)."""
    mechanism = bytes.fromhex("06092a864886f712010202")
    inner = mechanism + b"\x01\x00" + secrets.token_bytes(64)
    return UserIdentity(IdentityType.KERBEROS, True, b"\x60" + bytes([len(inner)]) + inner)


def web_token(*, algorithm: str = "HS256", expires: int, audience: str = "dicomgate-assess") -> UserIdentity:
    """A JSON Web Token that no issuer made: unsigned with `none`, else signed with a key of this moment (RFC 7519)."""
    claims = {"iss": "https://dicomgate.invalid", "sub": "dicomgate-assess", "aud": audience, "exp": expires}
    signed = f"{_base64(json.dumps({'alg': algorithm, 'typ': 'JWT'}).encode())}.{_base64(json.dumps(claims).encode())}"
    signature = b"" if algorithm == "none" else hmac.digest(secrets.token_bytes(32), signed.encode(), hashlib.sha256)
    return UserIdentity(IdentityType.JWT, True, f"{signed}.{_base64(signature)}".encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def identifier(elements: dict[int, str | bytes]) -> bytes:
    """A data set in Implicit VR Little Endian (PS3.5 A.1): tag to value, tags ascending, values padded to even.

    Text is ASCII; UIDs are padded with NUL and other text with a space. Bytes are written as they are.
    """
    parts = []
    for tag in sorted(elements):
        value = elements[tag]
        if isinstance(value, str):
            padding = b"\0" if tag in _UIDS else b" "
            value = value.encode("ascii")
            value += padding * (len(value) % 2)
        parts.append(struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value)
    return b"".join(parts)


def item(elements: dict[int, str | bytes]) -> bytes:
    """The value of a sequence with one item of defined length (PS3.5 7.5)."""
    content = identifier(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


STUDY_INSTANCE_UID = 0x0020000D
QUERY_LEVEL = 0x00080052
PATIENT_NAME = 0x00100010
_UIDS = {0x00080016, 0x00080018, 0x00081150, 0x00081155, 0x00081195, STUDY_INSTANCE_UID, 0x0020000E}

TEST_PATIENT = "ZZZTEST"
"""Patient name and ID of every object that is written: synthetic, and easy to find and remove."""


def secondary_capture(study: str, series: str, instance: str, pixels: bytes) -> bytes:
    """A synthetic image of 4 by 4 pixels (PS3.3 A.8.1). `pixels` are 16 bytes."""
    return identifier(
        {
            0x00080016: SECONDARY_CAPTURE,
            0x00080018: instance,
            0x00080020: "",
            0x00080030: "",
            0x00080050: "",
            0x00080060: "OT",
            0x00080064: "SYN",
            0x00080090: "",
            PATIENT_NAME: TEST_PATIENT,
            0x00100020: TEST_PATIENT,
            0x00100030: "",
            0x00100040: "O",
            STUDY_INSTANCE_UID: study,
            0x0020000E: series,
            0x00200010: "1",
            0x00200011: "1",
            0x00200013: "1",
            0x00200020: "",
            0x00280002: struct.pack("<H", 1),
            0x00280004: "MONOCHROME2",
            0x00280010: struct.pack("<H", 4),
            0x00280011: struct.pack("<H", 4),
            0x00280100: struct.pack("<H", 8),
            0x00280101: struct.pack("<H", 8),
            0x00280102: struct.pack("<H", 7),
            0x00280103: struct.pack("<H", 0),
            0x7FE00010: pixels,
        }
    )
