"""The verifier of kind ldap: a name and a passcode in; who that is, with groups, out.

Search, then bind: the service account finds the entry, the user's own passcode opens it. A name that the directory
does not have costs a bind too, and as much time as others took lately, so that the time does not say who exists.
"""

import secrets
import threading
import time
from collections import deque

from dicomgate.iam.ldap import accounts, groups
from dicomgate.iam.ldap.connection import Connection, Deadline, DirectoryError, ServerError
from dicomgate.iam.ldap.messages import Result, ResultCode, SearchEntry
from dicomgate.iam.ldap.servers import Servers, ServiceConnections
from dicomgate.iam.ldap.settings import Groups, LdapSettings
from dicomgate.identity.claims import LONGEST_NAME, Claims, Passcode
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.text import is_plain_text

REMEMBERED = 64
"""Binds whose duration is remembered."""


class LdapVerifier:
    """One directory. Contract: `identity.verifier.Verifier`."""

    identity_types = frozenset({IdentityType.USERNAME_AND_PASSCODE})

    def __init__(self, settings: LdapSettings) -> None:
        """Connects to nobody yet: the gate also starts while the directory is down."""
        self.name = settings.name
        self._settings = settings
        self._servers = Servers(settings)
        self._service = ServiceConnections(settings, self._servers)
        self._lately = _Durations()

    def verify(self, claims: Claims, now: float) -> Verification:
        """Blocks for at most `total_timeout`. NOT_MINE for anything but a passcode."""
        credential = claims.credential
        if not isinstance(credential, Passcode):
            return Refuted(Cause.NOT_MINE, "a directory takes names with passcodes only")
        user = credential.name
        if not credential.passcode:
            return Refuted(Cause.MALFORMED, "an empty passcode", user)
        deadline = Deadline(self._settings.total_timeout)
        try:
            return self._verify(user, credential.passcode, claims.identity_type, now, deadline)
        except (DirectoryError, TimeoutError) as error:
            return Unavailable(str(error) or "no answer in time")

    def groups_of(self, user: str, now: float) -> frozenset[str] | Refuted | Unavailable:
        """The groups of somebody whom another verifier has proved; refuted if the account is missing or barred."""
        deadline = Deadline(self._settings.total_timeout)
        try:
            found = self._find(user, deadline)
            if isinstance(found, Refuted):
                return found
            entry, name = found
            barred = accounts.obstacle(Result(ResultCode.SUCCESS), entry, now)
            if barred is not None:
                return Refuted(barred.cause, barred.reason, user)
            return self._groups(entry, name, deadline)
        except (DirectoryError, TimeoutError) as error:
            return Unavailable(str(error) or "no answer in time")

    def close(self) -> None:
        self._service.close()

    def _verify(self, user: str, passcode: bytes, kind: IdentityType, now: float, deadline: Deadline) -> Verification:
        found = self._find(user, deadline)
        if isinstance(found, Refuted):
            self._bind_nobody(len(passcode), deadline)
            return found
        entry, name = found
        begun = time.monotonic()
        result = self._bind(entry.dn, passcode, deadline)
        self._lately.note(time.monotonic() - begun)
        if not accounts.is_about_user(result, entry, now):
            return Unavailable(f"the directory answers a user's bind with {result.words}")
        barred = accounts.obstacle(result, entry, now)
        if barred is not None:
            return Refuted(barred.cause, barred.reason, user)
        return Verified(Principal(name, self.name, kind, self._groups(entry, name, deadline)))

    def _find(self, user: str, deadline: Deadline) -> tuple[SearchEntry, str] | Refuted:
        """The one entry of this user, and the name that the directory itself uses."""
        settings = self._settings
        wanted = [settings.name_attribute, *accounts.ATTRIBUTES]
        if settings.groups is Groups.MEMBER_OF:
            wanted.append(groups.MEMBER_OF)

        def search(connection: Connection) -> list[SearchEntry]:
            values = {"user": user}
            return connection.search(settings.user_base, settings.user_filter, values, wanted, deadline, most=2)

        entries = self._service.use(search, deadline)
        if not entries:
            return Refuted(Cause.UNKNOWN_USER, "the directory has no such user", user)
        if len(entries) > 1:
            return Refuted(Cause.UNKNOWN_USER, "user_filter finds several entries and must find one", user)
        name = entries[0].text(settings.name_attribute)
        if not name or len(name) > LONGEST_NAME or not is_plain_text(name):
            raise DirectoryError(f"expected one name in the attribute {settings.name_attribute} of the user's entry")
        return entries[0], name

    def _bind(self, dn: str, passcode: bytes, deadline: Deadline) -> Result:
        if not dn:
            raise DirectoryError("the user's entry has no name, and a bind without one succeeds for everybody")
        connection = self._servers.connect(deadline)
        try:
            return connection.bind(dn, passcode, deadline)
        except ServerError as error:
            self._servers.failed(connection.server, error)
            raise
        finally:
            connection.close()

    def _bind_nobody(self, length: int, deadline: Deadline) -> None:
        """What a wrong passcode costs, for a name that does not exist; the real passcode is not sent.

        The directory has no hash to compute for it, which takes some of them most of the time. So it is waited for as
        long as a bind of somebody who exists took lately.
        """
        begun = time.monotonic()
        nobody = f"cn={secrets.token_hex(16)},{self._settings.user_base}"
        if self._bind(nobody, secrets.token_bytes(length), deadline).code == ResultCode.SUCCESS:
            raise DirectoryError("the directory takes any passcode for a name that it does not have")
        missing = self._lately.one() - (time.monotonic() - begun)
        if missing > 0:
            time.sleep(min(missing, deadline.left()))

    def _groups(self, entry: SearchEntry, name: str, deadline: Deadline) -> frozenset[str]:
        settings = self._settings
        if settings.groups is Groups.NONE:
            return frozenset()
        if settings.groups is Groups.MEMBER_OF and not settings.nested_groups:
            return groups.direct(entry)
        return self._service.use(
            lambda connection: groups.groups_of(connection, settings, entry, name, deadline), deadline
        )


class _Durations:
    """How long the latest binds took, in seconds. For many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        with self._lock:
            self._latest.append(seconds)

    def one(self) -> float:
        """One of them by chance; 0 before the first."""
        with self._lock:
            return secrets.choice(self._latest) if self._latest else 0.0
