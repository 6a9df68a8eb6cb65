"""Who must say who the user is, and who is believed. Facts of an association in; a user, a question or a refusal out.

PS3.7 D.3.3.7. What a user may do then is a matter of roles (roles.py).
"""

from dicomgate.facts import AssociationFacts, CertificateFacts
from dicomgate.identity.claims import Claims, Passcode, Username, credential_of
from dicomgate.identity.principal import Principal
from dicomgate.policy.model import Assurance, Peer, Rules
from dicomgate.policy.verdict import AskIdentity, Deny, Step
from dicomgate.wire.codes import IdentityType, Reject
from dicomgate.wire.pdu import Malformed, UserIdentity

DEVICE = "(device)"
"""Stands for the verifier where a proven device names its user; no verifier can have this name."""


class UserRules:
    """The part of one configuration's rules that is about users. Immutable."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._listeners = {listener.name: listener for listener in rules.listeners}

    def judge(
        self, peer: Peer, facts: AssociationFacts, principal: Principal | None, steps: list[Step]
    ) -> Principal | AskIdentity | Deny | None:
        """Who the user is, if this peer's users have to be known; None when they have not (PS3.7 D.3.3.7)."""
        key = f"peer[{peer.name}].assurance"
        offered = facts.request.user_information.user_identity
        required = peer.assurance is Assurance.USER
        if not required and (offered is None or peer.verifiers is None):
            return None
        trusted = self._trusted(peer, facts.origin.listener)
        if principal is not None and principal.verifier != DEVICE:
            if principal.verifier not in trusted:
                why = f"verifier {principal.verifier} does not vouch for users of peer {peer.name}"
                steps.append(Step("user", why, False))
                return Deny(f"peer[{peer.name}].verifiers", why, Reject.USER_IDENTITY_FAILED)
            steps.append(Step("user", f"{principal.name}, by {principal.verifier}", True))
            return principal
        why = ""
        if offered is None:
            why = f"peer {peer.name} must say who its user is, and presented no identity"
        elif offered.identity_type is IdentityType.USERNAME:
            found = self._named(peer, facts, offered)
            if isinstance(found, Principal):
                return found
            why = found
        elif not trusted:
            why = f"no verifier can vouch for users of peer {peer.name}"
        else:
            return self._ask(facts, offered, trusted, key, steps)
        steps.append(Step("user", why, False))
        return Deny(key, why, Reject.USER_IDENTITY_FAILED)

    def _ask(
        self, facts: AssociationFacts, offered: UserIdentity, trusted: tuple[str, ...], key: str, steps: list[Step]
    ) -> AskIdentity | Deny:
        origin = facts.origin
        credential = credential_of(offered)
        if isinstance(credential, Malformed):
            steps.append(Step("user", credential.why, False))
            return Deny(key, f"the user identity holds {credential.why}", Reject.USER_IDENTITY_FAILED)
        if isinstance(credential, Passcode) and origin.tls is None and origin.channel is None:
            listener = self._listeners.get(origin.listener)
            if listener is None or not listener.plaintext_passcodes:
                why = f"a passcode came in clear on listener {origin.listener}; whoever watches the network has it now"
                steps.append(Step("user", why, False))
                rule = f"listener[{origin.listener}].plaintext_passcodes"
                return Deny(rule, why, Reject.USER_IDENTITY_FAILED)
        claims = Claims(credential, offered.identity_type, origin, facts.calling_ae_title, facts.called_ae_title)
        return AskIdentity(claims, trusted)

    def _named(self, peer: Peer, facts: AssociationFacts, offered: UserIdentity) -> Principal | str:
        """Identity type 1: a name without a proof counts only when a proven device gives it, and that was foreseen."""
        if peer.username_roles is None:
            return f"peer {peer.name} presented a user name without a proof"
        if not peer.is_proven_by(facts.origin.certificate):
            shown = shown_certificate(facts.origin.certificate)
            return f"peer {peer.name} presented a user name without a proof, and {shown}"
        name = credential_of(offered)
        if not isinstance(name, Username):
            return "the user identity holds no user name"
        return Principal(name.name, DEVICE, IdentityType.USERNAME, roles=frozenset(peer.username_roles))

    def _trusted(self, peer: Peer, listener: str) -> tuple[str, ...]:
        """Who may vouch for this peer's users here: what the peer and the listener both trust."""
        known = self._listeners.get(listener)
        lists = (peer.verifiers, None if known is None else known.verifiers)
        return tuple(name for name in self._rules.verifiers if all(each is None or name in each for each in lists))


def shown_certificate(certificate: CertificateFacts | None) -> str:
    """For reasons: what somebody showed who is not recognised by it."""
    if certificate is None:
        return "it showed no certificate"
    return f"the certificate sha256:{certificate.sha256} is not one of those listed"
