"""The verifier of kind kerberos: a ticket with proof of its key in; who that is, and the gate's own proof, out."""

from collections.abc import Callable

from dicomgate.iam.kerberos import names, tokens
from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.identity.claims import Claims, KerberosTicket
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.pdu import Malformed

GroupsOf = Callable[[str, float], frozenset[str] | Refuted | Unavailable]
"""A user's name and the time in; what a directory knows. `LdapVerifier.groups_of` is one."""


class KerberosVerifier:
    """One service of a realm. Contract: `identity.verifier.Verifier`."""

    identity_types = frozenset({IdentityType.KERBEROS})

    def __init__(self, settings: KerberosSettings, groups_of: GroupsOf | None = None) -> None:
        """ImportError without the package gssapi (`dicomgate[kerberos]`)."""
        # Here, so that a gate without Kerberos needs neither the package nor the system's library.
        from dicomgate.iam.kerberos.acceptor import accept  # noqa: PLC0415

        self.name = settings.name
        self._settings = settings
        self._accept = accept
        self._groups_of = groups_of

    def verify(self, claims: Claims, now: float) -> Verification:
        """NOT_MINE for anything but a ticket, for other services and for users of other realms."""
        if not isinstance(claims.credential, KerberosTicket):
            return Refuted(Cause.NOT_MINE, "Kerberos takes tickets only")
        asked = tokens.presented(claims.credential.ticket)
        if isinstance(asked, Malformed):
            return Refuted(Cause.MALFORMED, asked.why)
        replays = self._settings.replay_cache
        try:
            replays.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            return Unavailable(f"there is no place for the replay cache {replays}: {error.strerror or 'unusable'}")
        accepted = self._accept(asked.token, self._settings)
        if isinstance(accepted, Refuted | Unavailable):
            return accepted
        client = names.client(accepted.client)
        if client is None:
            return Refuted(Cause.MALFORMED, "expected a name with a realm, came one that cannot be shown")
        user = client.called(self._settings.strip_realm)
        if client.realm not in self._settings.realms:
            return Refuted(Cause.NOT_MINE, f"users of the realm {client.realm} are not believed", client.called(False))
        if client.anonymous:
            return Refuted(Cause.DISABLED, "an anonymous ticket says nothing of a person", user)
        groups = self._groups(user, now)
        if not isinstance(groups, frozenset):
            return groups
        principal = Principal(
            user, self.name, claims.identity_type, groups, self._settings.roles, expires=now + accepted.lifetime
        )
        return Verified(principal, tokens.reply(accepted.reply, asked) if accepted.reply else b"")

    def _groups(self, user: str, now: float) -> frozenset[str] | Refuted | Unavailable:
        if self._groups_of is None:
            return frozenset()
        found = self._groups_of(user, now)
        if isinstance(found, Refuted) and found.cause is Cause.UNKNOWN_USER:
            # Final: the ticket was good, so no other verifier has to be asked who this is.
            return Refuted(Cause.DISABLED, "the ticket is good, but the directory of groups has no such user", user)
        return found

    def close(self) -> None:
        """Nothing is kept open."""
