"""Several servers as one directory: who is asked first, who is passed over, and the connections that searches share.

A server that failed is passed over while another may answer. Connections of the service account are kept and lent to
one search at a time; each user's bind takes a connection of its own, which is closed after it.
"""

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from dicomgate.iam.ldap.connection import Connection, Deadline, DirectoryError, ServerError, tls_context
from dicomgate.iam.ldap.messages import ResultCode
from dicomgate.iam.ldap.settings import LdapSettings, Server
from dicomgate.iam.secret import SecretError

PASSED_OVER = 30.0
"""Seconds that a server is not asked after it failed, while there is another."""
ALL_FAILED = 1.0
"""Seconds that nobody is asked after all have failed: not every waiting user has to find out for himself."""
SERVICE_REFUSED = 30.0
"""Seconds without another try after the service account was refused: a directory locks who fails often."""
LONGEST_IDLE = 60.0
"""Seconds that an unused connection is kept; firewalls forget idle ones silently, mostly after some minutes."""

T = TypeVar("T")


class Servers:
    """The servers of one directory, in the order of the file. For many threads at once."""

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._failures: dict[Server, tuple[float, ServerError]] = {}
        self._context: tuple[object, ssl.SSLContext] | None = None

    def connect(self, deadline: Deadline) -> Connection:
        """A connection under TLS, not bound yet, to the first server that answers; DirectoryError when none does.

        TimeoutError when there is no time left to ask.
        """
        context = self._tls()
        reasons = []
        for server in self._candidates():
            deadline.left()  # raises: a server that was never asked has not failed
            try:
                within = Deadline(self._settings.connect_timeout, deadline)
                connection = Connection(server, context, self._settings.operation_timeout, within)
            except ServerError as error:
                self.failed(server, error)
                reasons.append(str(error))
                continue
            with self._lock:
                self._failures.pop(server, None)
            return connection
        raise DirectoryError("; ".join(reasons))

    def failed(self, server: Server, error: ServerError) -> None:
        """Pass it over for a while."""
        with self._lock:
            self._failures[server] = time.monotonic(), error

    def _candidates(self) -> Sequence[Server]:
        """Whom to ask, in this order. DirectoryError when all have failed just now."""
        now = time.monotonic()
        with self._lock:
            known = dict(self._failures)
        servers = self._settings.servers
        fresh = [server for server in servers if server not in known or now - known[server][0] >= PASSED_OVER]
        if fresh:
            return fresh
        ready = [server for server in servers if now - known[server][0] >= ALL_FAILED]
        if ready:
            return ready
        raise DirectoryError("; ".join(str(known[server][1]) for server in servers))

    def _tls(self) -> ssl.SSLContext | None:
        """Read again when the file has changed: authorities are renewed while the gate runs."""
        path = self._settings.ca
        if path is None:
            return None
        try:
            stat = path.stat()
            version = stat.st_mtime_ns, stat.st_size, stat.st_ino
            with self._lock:
                if self._context is not None and self._context[0] == version:
                    return self._context[1]
            context = tls_context(path)
        except OSError as error:
            raise DirectoryError(f"the authorities in {path} cannot be read: {error.strerror or error}") from None
        with self._lock:
            self._context = version, context
        return context


class ServiceConnections:
    """Connections that are bound as the service account. For many threads at once."""

    def __init__(self, settings: LdapSettings, servers: Servers) -> None:
        self._settings = settings
        self._servers = servers
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(settings.connections)
        self._idle: list[Connection] = []
        self._refused: tuple[float, str] | None = None
        self._closed = False

    def use(self, search: Callable[[Connection], T], deadline: Deadline) -> T:
        """What the search returns. It runs again on another connection when one is lost; DirectoryError."""
        try:
            mine = self._free.acquire(timeout=deadline.left())
        except TimeoutError:
            mine = False
        if not mine:
            raise DirectoryError(f"all {self._settings.connections} connections for searches are busy")
        try:
            return self._use(search, deadline)
        finally:
            self._free.release()

    def _use(self, search: Callable[[Connection], T], deadline: Deadline) -> T:
        # Each server once, and before them a connection that may have been closed while it lay idle.
        tries = len(self._settings.servers) + 1
        while True:
            tries -= 1
            try:
                connection = self._take() or self._open(deadline)
            except ServerError:
                if not tries:
                    raise
                continue
            try:
                found = search(connection)
            except ServerError as error:
                connection.close()
                self._forget(connection.server)
                if not connection.used:
                    self._servers.failed(connection.server, error)
                if not tries:
                    raise
                continue
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
            return found

    def _take(self) -> Connection | None:
        """The connection that was used last, if it is still worth trying."""
        with self._lock:
            worn = [each for each in self._idle if time.monotonic() - each.idle_since > LONGEST_IDLE]
            self._idle = [each for each in self._idle if each not in worn]
            found = self._idle.pop() if self._idle else None
        for each in worn:
            each.close()
        return found

    def _give_back(self, connection: Connection) -> None:
        connection.used = True
        connection.idle_since = time.monotonic()
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _forget(self, server: Server) -> None:
        """Who lost one connection to a server has most likely lost all of them."""
        with self._lock:
            lost = [each for each in self._idle if each.server == server]
            self._idle = [each for each in self._idle if each.server != server]
        for each in lost:
            each.close()

    def _open(self, deadline: Deadline) -> Connection:
        account = self._settings.service
        if account is None:
            return self._servers.connect(deadline)
        with self._lock:
            refused = self._refused
        if refused is not None and time.monotonic() - refused[0] < SERVICE_REFUSED:
            raise DirectoryError(refused[1])
        try:
            passcode = account.passcode.read().encode()
        except SecretError as error:
            raise DirectoryError(str(error)) from None
        connection = self._servers.connect(deadline)
        try:
            result = connection.bind(account.dn, passcode, deadline)
        except ServerError as error:
            connection.close()
            self._servers.failed(connection.server, error)
            raise
        if result.code != ResultCode.SUCCESS:
            connection.close()
            text = f"{connection.server}: it refuses the service account {account.dn} ({result.words})"
            with self._lock:
                self._refused = time.monotonic(), text
            raise DirectoryError(text)
        with self._lock:
            self._refused = None
        return connection

    def close(self) -> None:
        """Close what is idle now, and the others when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()
