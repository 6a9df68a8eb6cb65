"""The groups of a user: an entry in, the names (DN) of groups out, those within groups too where that is asked for."""

from collections.abc import Iterable

from dicomgate.iam.ldap import filters
from dicomgate.iam.ldap.connection import Connection, Deadline, DirectoryError
from dicomgate.iam.ldap.messages import Scope, SearchEntry
from dicomgate.iam.ldap.settings import Groups, LdapSettings

DEEPEST = 10
"""Steps from a user to a group within groups."""
MOST = 1000
"""Groups of one user, and of one answer: what Active Directory gives at once. Beyond it nobody is let in, since
which groups are missing cannot be known."""
MEMBER_OF = "memberOf"
_ANYTHING = filters.parse("(objectClass=*)")
_RULE = filters.parse("(member:1.2.840.113556.1.4.1941:={dn})")


def groups_of(
    connection: Connection, settings: LdapSettings, entry: SearchEntry, name: str, deadline: Deadline
) -> frozenset[str]:
    """Names of groups as the directory writes them. DirectoryError also when they are too many or nested too deeply."""
    if settings.groups is Groups.MATCHING_RULE:
        return _counted(_search(connection, settings, _RULE, entry.dn, name, deadline))
    if settings.groups is Groups.SEARCH:
        found = _counted(_search(connection, settings, settings.group_filter, entry.dn, name, deadline))
    else:
        found = direct(entry)
    return _nested(connection, settings, found, deadline) if settings.nested_groups else found


def direct(entry: SearchEntry) -> frozenset[str]:
    """The groups that the entry itself names."""
    return _counted(_member_of(entry))


def _nested(
    connection: Connection, settings: LdapSettings, direct: frozenset[str], deadline: Deadline
) -> frozenset[str]:
    """With all groups that these are in, step by step. A circle ends where it began."""
    found, latest = direct, direct
    for _ in range(DEEPEST):
        above = {group for child in latest for group in _above(connection, settings, child, deadline)}
        latest = frozenset(above) - found
        if not latest:
            return found
        found = _counted(found | latest)
    raise DirectoryError(f"groups are nested more than {DEEPEST} deep")


def _above(connection: Connection, settings: LdapSettings, group: str, deadline: Deadline) -> Iterable[str]:
    if settings.groups is Groups.SEARCH:
        # Only {dn} can name a group; a filter by {user} would find the groups of a user with that name.
        return _search(connection, settings, settings.group_filter, group, "", deadline)
    entries = connection.search(group, _ANYTHING, {}, [MEMBER_OF], deadline, scope=Scope.BASE, most=1)
    return [name for entry in entries for name in _member_of(entry)]


def _search(
    connection: Connection, settings: LdapSettings, query: filters.Filter, dn: str, name: str, deadline: Deadline
) -> Iterable[str]:
    values = {"dn": dn, "user": name}
    # "1.1": no attributes, the names are enough (RFC 4511 4.5.1.8).
    entries = connection.search(settings.group_base, query, values, ["1.1"], deadline, most=MOST)
    return [entry.dn for entry in entries]


def _member_of(entry: SearchEntry) -> Iterable[str]:
    if any(name.startswith("memberof;range=") for name in entry.attributes):
        raise DirectoryError(f'the attribute {MEMBER_OF} is too long to be sent at once; write groups = "search"')
    return entry.texts(MEMBER_OF)


def _counted(groups: Iterable[str]) -> frozenset[str]:
    found = frozenset(groups)
    if len(found) >= MOST:
        raise DirectoryError(f"a user is in {MOST} groups or more")
    return found
