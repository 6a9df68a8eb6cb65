"""Local users lose what they had while they use it: accounts in, every few seconds who is still one out.

A login is judged once, and an association may run for hours; who is disabled meanwhile should not be in it.
"""

import threading
from collections.abc import Callable

from dicomgate.iam.notices import Notice, broke
from dicomgate.identity.account import Accounts, Standing
from dicomgate.identity.verifier import Unavailable

LOOK_EVERY = 5.0
"""Seconds between two looks at the accounts."""


class StandingWatch:
    """`hold_to` is called with each new Standing on the watch's own thread, `notice` with a bug.

    Without `verifiers` that vouch for local users nobody is looked at.
    """

    def __init__(
        self,
        accounts: Accounts,
        hold_to: Callable[[Standing], None],
        notice: Callable[[Notice], None],
        *,
        every: float = LOOK_EVERY,
    ) -> None:
        self._accounts = accounts
        self._hold_to = hold_to
        self._notice = notice
        self._every = every
        self._of: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dicomgate-standing", daemon=True)
        self._thread.start()

    def use(self, verifiers: frozenset[str], granted: frozenset[str]) -> None:
        """From now on these; see Standing."""
        self._of = (verifiers, granted)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def look(self) -> None:
        """One look. While accounts cannot be read nobody is ended, and nobody new is let in either."""
        verifiers, granted = self._of
        if not verifiers:
            return
        found = self._accounts.enabled()
        if not isinstance(found, Unavailable):
            self._hold_to(Standing(found, verifiers, granted))

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            try:
                self.look()
            except Exception as bug:  # told, and tried again: without this thread nobody would be ended
                self._notice(broke("standing", bug))
