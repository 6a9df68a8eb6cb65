"""Against guessing: failures are counted, answers become slower, and at a number of failures nothing is looked at.

Three things are counted, and each can be locked out for a time:

- **user and address**: some guesses at one name from one place. Locking these two together is what keeps a lockout
  from being a weapon: a stranger on the internet locks a doctor's name for his own address, and nobody else's.
- **address**: many names from one place, and tokens that are no token.
- **user**: one name from very many places. This one could be used to lock a doctor out from afar, so it holds only
  for addresses from which the user was not verified before (`familiar`): the workplace and the home go on working,
  while a thousand rented machines together get no more guesses than one.

An IPv6 address counts as its /64, which is what one customer has. Names that do not exist count like those that do.
What nobody could verify (Unavailable) counts nothing. Storage keys are hashes: names of any length, and of nobody who
reads the storage.
"""

import math
from hashlib import blake2b
from ipaddress import IPv6Address, ip_network

from limits.storage import Storage

from dicomgate.facts import Address
from dicomgate.iam.counters import BoundedMemory
from dicomgate.iam.notices import LockedOut, Scope
from dicomgate.iam.settings import GuardLimits
from dicomgate.identity.claims import Claims, Passcode, Username
from dicomgate.identity.names import folded
from dicomgate.identity.verifier import Cause, Refuted

GUESSES = frozenset({Cause.WRONG_CREDENTIAL, Cause.MALFORMED, Cause.REPLAYED})
"""What counts of tickets, assertions and tokens. One that is expired or somebody else's is a mistake, no guess."""


class Guard:
    """Thread-safe as far as its storage is. A check and a failure are two steps, so claims that are asked at the same
    time are all looked at: the bound on guesses is `attempts` plus the number of worker threads.

    `storage` may be any storage of the `limits` library, for instance one that several gates share.
    """

    def __init__(self, limits: GuardLimits, storage: Storage | None = None) -> None:
        self.limits = limits
        # Apart, so that a flood of invented names in one cannot push out what the others hold.
        self._failures: Storage = BoundedMemory() if storage is None else storage
        self._lockouts: Storage = BoundedMemory() if storage is None else storage
        self._familiar: Storage = BoundedMemory() if storage is None else storage

    def locked(self, claims: Claims) -> Refuted | None:
        """The refusal of a claim that must not be looked at now."""
        user, place = _claimed(claims), _place(claims.origin.address)
        locks = [(Scope.ADDRESS, place)]
        if user is not None:
            locks += [(Scope.USER_AND_ADDRESS, f"{_hash(user)}:{place}"), (Scope.USER, _hash(user))]
        for scope, key in locks:
            spared = scope is Scope.USER and self._is_familiar(user, place)
            if not spared and self._lockouts.get(f"lockout:{scope}:{key}"):
                return Refuted(Cause.LOCKED_OUT, f"locked out after too many failures ({scope})", user)
        return None

    def failed(self, claims: Claims, cause: Cause) -> tuple[float, tuple[LockedOut, ...]]:
        """Count a failure: seconds to wait with the answer, and the lockouts that begin with it."""
        limits, user, place = self.limits, _claimed(claims), _place(claims.origin.address)
        if cause is Cause.LOCKED_OUT:
            return limits.longest_delay, ()
        if user is None and cause not in GUESSES:
            return limits.delay, ()
        counted = [(Scope.ADDRESS, place, limits.attempts_per_address)]
        if user is not None:
            counted.append((Scope.USER_AND_ADDRESS, f"{_hash(user)}:{place}", limits.attempts))
            if not self._is_familiar(user, place):
                counted.append((Scope.USER, _hash(user), limits.attempts_per_user))
        began, delay = [], limits.delay
        for scope, key, most in counted:
            failures = self._failures.incr(f"failures:{scope}:{key}", math.ceil(limits.window))
            if scope is Scope.USER_AND_ADDRESS:
                delay = min(limits.delay * 2.0 ** min(failures - 1, 30), limits.longest_delay)
            if failures >= most:
                self._failures.clear(f"failures:{scope}:{key}")
                # The first to count up the lockout is who tells of it: one only, also among several gates.
                if self._lockouts.incr(f"lockout:{scope}:{key}", math.ceil(limits.lockout)) == 1:
                    named = None if scope is Scope.ADDRESS else user
                    began.append(LockedOut(scope, named, claims.origin, failures, limits.lockout))
        return delay, tuple(began)

    def succeeded(self, claims: Claims) -> None:
        """Forget the user's failures, and remember the place. The address's own failures stay: whoever has one
        account of his own must not be able to wipe away guesses at others."""
        user, place = _claimed(claims), _place(claims.origin.address)
        if user is None:
            return
        self._failures.clear(f"failures:{Scope.USER_AND_ADDRESS}:{_hash(user)}:{place}")
        self._failures.clear(f"failures:{Scope.USER}:{_hash(user)}")
        self._familiar.clear(f"familiar:{_hash(user)}:{place}")
        self._familiar.incr(f"familiar:{_hash(user)}:{place}", math.ceil(self.limits.familiar))

    def _is_familiar(self, user: str | None, place: str) -> bool:
        return user is not None and self._familiar.get(f"familiar:{_hash(user)}:{place}") > 0


def _claimed(claims: Claims) -> str | None:
    match claims.credential:
        case Username(name) | Passcode(name):
            return name
        case _:
            return None


def _hash(user: str) -> str:
    return blake2b(folded(user).encode(), digest_size=16).hexdigest()


def _place(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((int(address), 64), strict=False))
    return str(address)
