"""Who it turned out to be, and what that person may do here: groups become roles."""

from dataclasses import dataclass

from dicomgate.wire.codes import IdentityType


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified user.

    `name` is what records call the user; `verifier` is who vouched. `groups` are the directory's own words;
    `roles` are names of `[[role]]` tables that the verifier itself assigns (local users). `expires` is seconds since
    1970, the end of the proof (a token's exp, a ticket's end); None when it has none. `reason` is what the user gave
    for an emergency access.
    """

    name: str
    verifier: str
    identity_type: IdentityType
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    expires: float | None = None
    reason: str | None = None
