"""Mistakes and doubts in `[[verifier]]` tables of the kinds ldap and kerberos. Document in, problems out.

CHECKS are errors, for crosscheck.py; LINTS are warnings, for lint.py.
"""

from collections.abc import Callable, Iterator

from dicomgate.config.document import Document, Entry
from dicomgate.config.kinds import KerberosVerifier, LdapVerifier
from dicomgate.config.problem import Problem, closest, listed, shown
from dicomgate.config.schema import VerifierTable
from dicomgate.gate.settings import GateSettings
from dicomgate.iam.ldap import filters
from dicomgate.iam.ldap.settings import BY_MEMBER, Groups


def _directories(document: Document) -> Iterator[tuple[Entry[VerifierTable], LdapVerifier]]:
    for entry in document.verifiers:
        if isinstance(entry.table, LdapVerifier) and not entry.broken:
            yield entry, entry.table


def _realms(document: Document) -> Iterator[tuple[Entry[VerifierTable], KerberosVerifier]]:
    for entry in document.verifiers:
        if isinstance(entry.table, KerberosVerifier) and not entry.broken:
            yield entry, entry.table


def _passcodes_travel_under_tls(document: Document) -> Iterator[Problem]:
    for entry, table in _directories(document):
        if not table.unsafe_plaintext and table.ca is None:
            yield document.error(
                f"{entry.key}.ca",
                "expected the authorities that vouch for the servers, but this key is missing",
                'write for instance ca = "pki/clinic-ca.pem"; without it, anybody could pass for the directory',
            )
        if not table.unsafe_plaintext:
            continue
        encrypted = [server for server in table.servers if server.tls_at_once]
        if encrypted or table.ca is not None:
            yield document.error(
                f"{entry.key}.unsafe_plaintext",
                "expected servers with ldap:// and no ca beside it, came " + (f"{encrypted[0]}" if encrypted else "ca"),
                "remove unsafe_plaintext; ldap:// then begins with StartTLS",
            )


def _service_account_is_whole(document: Document) -> Iterator[Problem]:
    for entry, table in _directories(document):
        places = [key for key in ("bind_passcode_file", "bind_passcode_env") if key in table.model_fields_set]
        if table.bind_dn is not None and not places:
            yield document.error(
                f"{entry.key}.bind_passcode_file",
                "expected this key or bind_passcode_env beside bind_dn, but both are missing",
                "without a passcode a directory takes the account for nobody, and still says yes",
            )
        if table.bind_dn is None and places:
            yield document.error(
                f"{entry.key}.bind_dn",
                f"expected this key beside {places[0]}, but it is missing",
                "write the full name of the service account that searches",
            )
        if len(places) > 1:
            yield document.error(
                f"{entry.key}.bind_passcode_env",
                "expected one place for the passcode, came bind_passcode_file too",
                "remove one of the two",
            )


def _group_keys_are_used(document: Document) -> Iterator[Problem]:
    """A key that would change nothing was meant to change something."""
    uses = {
        "group_filter": (Groups.SEARCH,),
        "group_base": (Groups.SEARCH, Groups.MATCHING_RULE),
        "nested_groups": (Groups.MEMBER_OF, Groups.SEARCH),
    }
    for entry, table in _directories(document):
        for key, used_with in uses.items():
            if key in table.model_fields_set and table.groups not in used_with:
                yield document.error(
                    f"{entry.key}.{key}",
                    f"expected groups = {listed(shown(each.value) for each in used_with)} beside it,"
                    f" came {shown(table.groups.value)}",
                    "remove the key, or change groups",
                )
        by_name_only = "dn" not in filters.placeholders(table.group_filter or BY_MEMBER)
        if table.nested_groups and table.groups is Groups.SEARCH and by_name_only:
            yield document.error(
                f"{entry.key}.nested_groups",
                "expected {dn} in group_filter beside it, came a filter with {user} only",
                "a group within a group is found by its full name: write for instance (member={dn})",
            )


def _realms_stay_apart(document: Document) -> Iterator[Problem]:
    for entry, table in _realms(document):
        if table.strip_realm and len(set(table.realms or ())) > 1:
            yield document.error(
                f"{entry.key}.strip_realm",
                f"expected one realm beside it, came {listed(table.realms or ())}",
                "users of the same name in two realms could not be told apart",
            )


def _tickets_lead_somewhere(document: Document) -> Iterator[Problem]:
    """The roles and the directory that a Kerberos verifier names."""
    directories = [entry.table.name for entry in document.verifiers if isinstance(entry.table, LdapVerifier)]
    for entry, table in _realms(document):
        for role in table.roles:
            if role not in document.names["role"]:
                meant = closest(role, document.names["role"])
                hint = f'did you mean "{meant}"?' if meant else f"roles in this file: {listed(document.names['role'])}"
                yield document.error(f"{entry.key}.roles", f"expected the name of a role, came {shown(role)}", hint)
        if table.groups_from is not None and table.groups_from not in directories:
            yield document.error(
                f"{entry.key}.groups_from",
                f"expected the name of a verifier of kind ldap, came {shown(table.groups_from)}",
                f"such verifiers in this file: {listed(directories)}",
            )


def _plaintext_directory(document: Document, settings: GateSettings) -> Iterator[Problem]:
    for entry, table in _directories(document):
        if table.unsafe_plaintext:
            yield document.warning(
                f"{entry.key}.unsafe_plaintext",
                "passcodes of users cross the network in the clear",
                "write ca = … in its place; ldap:// then begins with StartTLS",
            )


def _slower_than_an_association_waits(document: Document, settings: GateSettings) -> Iterator[Problem]:
    for entry, table in _directories(document):
        if table.total_timeout >= settings.session.identity:
            yield document.warning(
                f"{entry.key}.total_timeout",
                f"{table.total_timeout:g} s never applies, because limits.identity is {settings.session.identity:g} s",
                "make total_timeout shorter than limits.identity",
            )


def _users_without_a_role(document: Document, settings: GateSettings) -> Iterator[Problem]:
    for entry, table in _realms(document):
        if not table.roles and table.groups_from is None:
            yield document.warning(
                f"{entry.key}.roles",
                "users with a ticket get no role, so they may do nothing: a ticket names no groups",
                "write roles = [...] for all of them, or groups_from = … for those that a directory knows",
            )


CHECKS: tuple[Callable[[Document], Iterator[Problem]], ...] = (
    _passcodes_travel_under_tls,
    _service_account_is_whole,
    _group_keys_are_used,
    _realms_stay_apart,
    _tickets_lead_somewhere,
)
LINTS: tuple[Callable[[Document, GateSettings], Iterator[Problem]], ...] = (
    _plaintext_directory,
    _slower_than_an_association_waits,
    _users_without_a_role,
)
