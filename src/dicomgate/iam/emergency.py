"""Emergency access at the gate: a verified user in; the same user with the roles that a grant gives out.

It does not matter who vouched for the user: the grant is for the name. A role that the configuration marks as one for
emergencies comes from a grant only: a verifier that assigns it is not listened to.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from dicomgate.iam.notices import EmergencyInForce, EmergencyOver, Notice, broke
from dicomgate.identity.claims import Claims
from dicomgate.identity.emergency import Grant, Grants
from dicomgate.identity.names import folded
from dicomgate.identity.verifier import Unavailable, Verified

LOOK_EVERY = 5.0
"""Seconds between two looks for grants that began or ended."""


class EmergencyRoles:
    """`roles` are the names of the roles marked `emergency` in the configuration."""

    def __init__(self, grants: Grants, roles: frozenset[str]) -> None:
        self._grants = grants
        self._roles = roles

    def amend(self, verified: Verified, claims: Claims, now: float) -> Verified | Unavailable:
        """With granted roles, their reason, and an end no later than theirs; recorded before it has any effect."""
        principal = replace(verified.principal, roles=verified.principal.roles - self._roles)
        found = self._grants.in_force(now, folded(principal.name)) if self._roles else ()
        if isinstance(found, Unavailable):
            return found
        found = tuple(grant for grant in found if grant.role in self._roles)
        if not found:
            return replace(verified, principal=principal)
        if (problem := self._grants.record_use(found, claims, now)) is not None:
            return problem
        ends = [grant.ends for grant in found]
        principal = replace(
            principal,
            roles=principal.roles | {grant.role for grant in found},
            reason="; ".join(dict.fromkeys(grant.reason for grant in found)),
            expires=min(ends if principal.expires is None else [*ends, principal.expires]),
        )
        return replace(verified, principal=principal)


class EmergencyWatch:
    """Records the end of each grant when its time is over, and tells when grants come into force and end.

    `notice` is called on the watch's own thread, or on that of `close`.
    """

    def __init__(
        self,
        grants: Grants,
        notice: Callable[[Notice], None],
        *,
        every: float = LOOK_EVERY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._grants = grants
        self._notice = notice
        self._every = every
        self._clock = clock
        self._known: dict[str, Grant] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dicomgate-emergency", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def look(self) -> None:
        """One look. A store that cannot be read now is read at the next one; whoever comes meanwhile is refused."""
        now = self._clock()
        ended, found = self._grants.end_due(now), self._grants.in_force(now)
        if isinstance(ended, Unavailable) or isinstance(found, Unavailable):
            return
        current = {grant.id: grant for grant in found}
        for grant in found:
            if grant.id not in self._known:
                self._notice(EmergencyInForce(grant))
        over = {grant.id: grant for grant in ended}
        over.update({name: grant for name, grant in self._known.items() if name not in current})
        for grant in over.values():
            self._notice(EmergencyOver(grant))
        self._known = current

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception as bug:  # told, and tried again: without this thread no end would be recorded
                self._notice(broke("emergency", bug))
            if self._closing.wait(self._every):
                return
