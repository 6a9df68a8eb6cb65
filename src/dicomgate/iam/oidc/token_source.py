"""The access token of the user who is signed in at this gate, renewed before it ends. Kept tokens in; the token out.

A thread of its own asks the provider; who wants the token never waits.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from dicomgate.iam.oidc.keepers import Keeper, KeeperError
from dicomgate.iam.oidc.sign_in import Declined, Tokens
from dicomgate.iam.oidc.web import WebError

LOOK_AGAIN = 10.0
"""Seconds between two looks at what is kept: somebody else may have signed in, or nobody be any more."""
FIRST_RETRY, LAST_RETRY = 5.0, 60.0
"""Seconds to wait after the provider could not be asked: doubled from the first to the last."""
MARGIN = 60.0
"""Seconds before its end that a token is renewed; of a short-lived one the last third."""


class Renewal(Protocol):
    """What is needed of SignIn."""

    def renew(self, tokens: Tokens) -> Tokens | Declined: ...

    def close(self) -> None: ...


class TokenSource:
    """`report` is told what the user or an administrator should know, once, on the source's own thread."""

    def __init__(
        self,
        sign_in: Renewal,
        keeper: Keeper,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sign_in = sign_in
        self._keeper = keeper
        self._report = report
        self._clock = clock
        self._tokens: Tokens | None = None
        self._kept: Tokens | None = None
        self._retry = FIRST_RETRY
        self._told = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dicomgate-login", daemon=True)

    def current_token(self) -> str | None:
        """None while nobody is signed in, or the sign-in could not be renewed in time. Never blocks."""
        tokens = self._tokens
        return tokens.access_token if tokens is not None and self._clock() < tokens.expires else None

    def start(self) -> None:
        """Read what is kept, and renew it from now on. A locked keyring may wait for its user: not on this thread."""
        self._thread.start()

    def close(self, timeout: float = 2.0) -> None:
        """End soon; wait at most `timeout` seconds for a renewal that is under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def step(self) -> float:
        """Do what is due; seconds until something may be due again."""
        self._heed()
        if self._tokens is None:
            return LOOK_AGAIN
        now, life = self._clock(), self._tokens.expires - self._tokens.obtained
        due = self._tokens.expires - min(MARGIN, life / 3)
        return min(due - now, LOOK_AGAIN) if now < due else self._renew(self._tokens, now)

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self.step()):
                pass
        finally:
            self._sign_in.close()

    def _heed(self) -> None:
        """Whatever another process has kept since counts: a new sign-in, of another user perhaps, or none."""
        try:
            found = self._keeper.load()
        except KeeperError as error:
            self._tell(str(error))
            return
        ended = found is None or (found.refresh_token is None and self._clock() >= found.expires)
        if found != self._kept:
            self._kept, self._tokens, self._told = found, None if ended else found, ""
        if ended and self._tokens is None:
            self._tell("nobody is signed in: run dicomgate login")

    def _renew(self, tokens: Tokens, now: float) -> float:
        try:
            found = self._sign_in.renew(tokens)
        except WebError as error:
            self._tell(f"the sign-in cannot be renewed now: {error}")
            wait, self._retry = self._retry, min(self._retry * 2, LAST_RETRY)
            return wait
        self._retry = FIRST_RETRY
        self._heed()
        if self._tokens is not tokens:
            return 0.0  # replaced meanwhile: what came for the former sign-in must not be kept in its place
        if isinstance(found, Declined):
            self._tell(f"{found.reason}: run dicomgate login")
            if now >= tokens.expires:
                self._tokens = None
            return LOOK_AGAIN
        self._tokens = found
        try:
            self._keeper.save(found)
        except KeeperError as error:
            # The provider may have withdrawn the former ones by now: after a restart the user has to sign in again.
            self._tell(str(error))
        else:
            self._kept, self._told = found, ""
        return 0.0

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._report(text)
