"""The few LDAP messages that a sign-in needs (RFC 4511 4.2, 4.3, 4.5, 4.14): requests to bytes, bytes to responses.

Every response is a value of one of the types below; anything else is a NotBerError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from dicomgate.iam import ber
from dicomgate.iam.ber import Element, NotBerError

VERSION = 3
START_TLS = "1.3.6.1.4.1.1466.20037"
PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"  # noqa: S105 - an OID (draft-behera-ldap-password-policy)
LONGEST_DIAGNOSTIC = 1024

_BIND, _UNBIND, _SEARCH, _EXTENDED = 0x60, 0x42, 0x63, 0x77
_BIND_RESPONSE, _ENTRY, _DONE, _REFERENCE, _EXTENDED_RESPONSE = 0x61, 0x64, 0x65, 0x73, 0x78
_CONTROLS = 0xA0


class ResultCode(IntEnum):
    """Those of RFC 4511 4.1.9 that mean something of their own here."""

    SUCCESS = 0
    TIME_LIMIT_EXCEEDED = 3
    SIZE_LIMIT_EXCEEDED = 4
    STRONGER_AUTH_REQUIRED = 8
    REFERRAL = 10
    CONFIDENTIALITY_REQUIRED = 13
    CONSTRAINT_VIOLATION = 19
    NO_SUCH_OBJECT = 32
    INVALID_DN_SYNTAX = 34
    INAPPROPRIATE_AUTHENTICATION = 48
    INVALID_CREDENTIALS = 49
    INSUFFICIENT_ACCESS_RIGHTS = 50
    BUSY = 51
    UNAVAILABLE = 52
    UNWILLING_TO_PERFORM = 53


class PolicyError(IntEnum):
    """Why a password policy refuses a bind, or what it allows nothing else before."""

    PASSWORD_EXPIRED = 0
    ACCOUNT_LOCKED = 1
    CHANGE_AFTER_RESET = 2


class Scope(IntEnum):
    BASE = 0
    SUBTREE = 2


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an operation. `diagnostic` is the server's own text: it is read for known codes, never shown."""

    code: int
    diagnostic: str = field(default="", repr=False)
    policy_error: int | None = None

    @property
    def words(self) -> str:
        """The code for people: `49 invalid credentials`."""
        known = self.code in ResultCode.__members__.values()
        return f"{self.code} {ResultCode(self.code).name.lower().replace('_', ' ')}" if known else f"code {self.code}"


@dataclass(frozen=True, slots=True)
class BindResponse:
    result: Result


@dataclass(frozen=True, slots=True)
class ExtendedResponse:
    """To StartTLS, or unasked with the message ID 0: the server is about to close."""

    result: Result


@dataclass(frozen=True, slots=True)
class SearchEntry:
    """One entry; attribute names in lower case."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]

    def texts(self, attribute: str) -> tuple[str, ...]:
        """Its values as text; those that are not UTF-8 are left out."""
        found = []
        for value in self.attributes.get(attribute.lower(), ()):
            try:
                found.append(value.decode("utf-8"))
            except UnicodeDecodeError:
                continue
        return tuple(found)

    def text(self, attribute: str) -> str | None:
        """Its only value, or None when it has none or several."""
        values = self.texts(attribute)
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class SearchReference:
    """Ask elsewhere. Not followed: another server was not configured, and is not trusted with a passcode."""


@dataclass(frozen=True, slots=True)
class SearchDone:
    result: Result


Response = BindResponse | ExtendedResponse | SearchEntry | SearchReference | SearchDone


def bind(message: int, dn: str, passcode: bytes) -> bytes:
    """A simple bind that asks for the password policy's opinion too, where the server has one."""
    request = ber.encode(_BIND, ber.integer(VERSION), ber.octets(dn), ber.octets(passcode, 0x80))
    control = ber.encode(ber.SEQUENCE, ber.octets(PASSWORD_POLICY))
    return _message(message, request, ber.encode(_CONTROLS, control))


def start_tls(message: int) -> bytes:
    return _message(message, ber.encode(_EXTENDED, ber.octets(START_TLS, 0x80)))


def unbind(message: int) -> bytes:
    return _message(message, ber.encode(_UNBIND))


def search(
    message: int, base: str, scope: Scope, query: bytes, attributes: Sequence[str], size_limit: int, seconds: int
) -> bytes:
    """`query` is an encoded Filter; aliases are not followed."""
    return _message(
        message,
        ber.encode(
            _SEARCH,
            ber.octets(base),
            ber.integer(scope, ber.ENUMERATED),
            ber.integer(0, ber.ENUMERATED),
            ber.integer(size_limit),
            ber.integer(seconds),
            ber.boolean(False),
            query,
            ber.encode(ber.SEQUENCE, *(ber.octets(name) for name in attributes)),
        ),
    )


def _message(number: int, *parts: bytes) -> bytes:
    return ber.encode(ber.SEQUENCE, ber.integer(number), *parts)


def decode(contents: bytes) -> tuple[int, Response]:
    """The contents of one LDAPMessage: its message ID and what it is."""
    number, operation, *rest = _several(contents, 2)
    return number.number(), _response(operation, rest)


def _response(operation: Element, rest: list[Element]) -> Response:
    if operation.tag == _BIND_RESPONSE:
        return BindResponse(_result(operation, _policy_error(rest)))
    if operation.tag == _EXTENDED_RESPONSE:
        return ExtendedResponse(_result(operation))
    if operation.tag == _DONE:
        return SearchDone(_result(operation))
    if operation.tag == _REFERENCE:
        return SearchReference()
    if operation.tag == _ENTRY:
        return _entry(operation)
    raise NotBerError(f"expected a response, came the operation 0x{operation.tag:02x}")


def _several(contents: bytes, least: int) -> list[Element]:
    found = list(ber.elements(contents))
    if len(found) < least:
        raise NotBerError(f"expected {least} elements or more, came {len(found)}")
    return found


def _result(operation: Element, policy_error: int | None = None) -> Result:
    code, _matched, diagnostic, *_ = _several(operation.contents, 3)
    text = diagnostic.expect(ber.OCTET_STRING)[:LONGEST_DIAGNOSTIC].decode("utf-8", "replace")
    return Result(code.number(ber.ENUMERATED), text, policy_error)


def _entry(operation: Element) -> SearchEntry:
    name, attributes = _several(operation.contents, 2)[:2]
    found: dict[str, tuple[bytes, ...]] = {}
    for attribute in ber.elements(attributes.expect(ber.SEQUENCE)):
        description, values = _several(attribute.expect(ber.SEQUENCE), 2)[:2]
        found[description.text().lower()] = tuple(
            value.expect(ber.OCTET_STRING) for value in ber.elements(values.expect(ber.SET))
        )
    return SearchEntry(name.text(), found)


def _policy_error(rest: list[Element]) -> int | None:
    """What the password policy control says, where the response has one; its warnings are not needed."""
    for controls in rest:
        for control in ber.elements(controls.expect(_CONTROLS)):
            oid, *more = _several(control.expect(ber.SEQUENCE), 1)
            if oid.text() == PASSWORD_POLICY and more:
                for part in ber.elements(_several(more[-1].expect(ber.OCTET_STRING), 1)[0].expect(ber.SEQUENCE)):
                    if part.tag == 0x81:
                        return Element(ber.ENUMERATED, part.contents).number(ber.ENUMERATED)
    return None
