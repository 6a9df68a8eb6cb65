"""Words of `[[verifier]]` tables that ask a directory or a Kerberos realm: servers, names of entries, filters."""

import re
from collections.abc import Callable

from dicomgate.config import units
from dicomgate.config.problem import WrongValueError, listed, shown
from dicomgate.iam.ldap import filters
from dicomgate.iam.ldap.filters import Filter, NotAFilterError
from dicomgate.iam.ldap.settings import Server

PORTS = {"ldaps": 636, "ldap": 389}
LONGEST = 1024

_URL = re.compile(r"(?P<scheme>ldaps?)://(?P<place>[^/?#@\s]+)/?")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_RELATIVE_NAME = r'(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+) ?= ?(?:[^",+;<>\\=]|\\.)+'
_DN = re.compile(rf"{_RELATIVE_NAME}(?: ?[,+] ?{_RELATIVE_NAME})*")
_PRINCIPAL = re.compile(r"[^\s@/\\]+(?:/[^\s@/\\]+)+@[^\s@/\\]+")
_REALM = re.compile(r"[^\s@/\\:]{1,253}")


def server(value: object) -> Server:
    """`ldaps://HOST[:PORT]`, TLS at once, or `ldap://HOST[:PORT]`, with StartTLS."""
    found = _URL.fullmatch(value) if isinstance(value, str) else None
    hint = 'write for instance "ldaps://dc1.clinic.example"; ldap:// begins in the clear and turns to TLS (StartTLS)'
    if found is None:
        raise WrongValueError(f"expected ldaps://HOST or ldap://HOST, came {shown(value)}", hint)
    scheme, place = found["scheme"], found["place"]
    has_port = re.search(r":[0-9]+$", place) is not None and (place.count(":") == 1 or "]" in place)
    try:
        endpoint = units.endpoint(place if has_port else f"{place}:{PORTS[scheme]}")
    except WrongValueError:
        raise WrongValueError(f"expected a host name or an address and a port, came {shown(value)}", hint) from None
    return Server(endpoint.host, endpoint.port, tls_at_once=scheme == "ldaps")


def distinguished_name(value: object) -> str:
    """The full name of an entry (RFC 4514)."""
    if not isinstance(value, str) or len(value) > LONGEST or not _DN.fullmatch(value) or not value.isprintable():
        raise WrongValueError(
            f"expected the full name of an entry, came {shown(value)}",
            'write it as the directory shows it, for instance "ou=people,dc=clinic,dc=example"',
        )
    return value


def attribute(value: object) -> str:
    """The name of an attribute."""
    if not isinstance(value, str) or not _ATTRIBUTE.fullmatch(value):
        raise WrongValueError(
            f"expected the name of an attribute, came {shown(value)}",
            'write for instance "uid"; for Active Directory "sAMAccountName" or "userPrincipalName"',
        )
    return value


def search_filter(example: str, *known: str) -> Callable[[object], Filter]:
    """A filter (RFC 4515) with one or more of these placeholders."""
    words = " or ".join(f"{{{name}}}" for name in known)

    def filter_(value: object) -> Filter:
        hint = f'write for instance "{example}"; {words} stands where the name goes'
        if not isinstance(value, str):
            raise WrongValueError(f"expected a search filter, came {shown(value)}", hint)
        try:
            found = filters.parse(value)
        except NotAFilterError as error:
            raise WrongValueError(f"expected a search filter, came {shown(value)}: {error}", hint) from None
        used = filters.placeholders(found)
        if not used or not used <= set(known):
            came = listed(f"{{{name}}}" for name in sorted(used - set(known))) if used else "none"
            raise WrongValueError(f"expected a search filter with {words}, came one with {came}", hint)
        return found

    return filter_


user_filter = search_filter("(uid={user})", "user")
group_filter = search_filter("(member={dn})", "dn", "user")


def service_principal(value: object) -> str:
    """`SERVICE/HOST@REALM`."""
    if not isinstance(value, str) or len(value) > LONGEST or not _PRINCIPAL.fullmatch(value) or not value.isprintable():
        raise WrongValueError(
            f"expected the name of a service with its realm, came {shown(value)}",
            'write for instance "dicom/gate.clinic.example@CLINIC.EXAMPLE", as klist -k shows it',
        )
    return value


def realm(value: object) -> str:
    """The name of a realm; case matters."""
    if not isinstance(value, str) or not _REALM.fullmatch(value) or not value.isprintable():
        raise WrongValueError(
            f"expected the name of a realm, came {shown(value)}",
            'write for instance "CLINIC.EXAMPLE", in capital letters if the realm has them',
        )
    return value
