"""Who the user is, told to archives by a token: a configuration in, the gate's UpstreamToken out.

`identity = "mint"` takes a token that this gate signs, `identity = "login"` the one of whoever is signed in at it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from dicomgate.config.load import Configuration
from dicomgate.policy.model import UpstreamIdentity
from dicomgate.policy.verdict import AssociationPermit

if TYPE_CHECKING:
    from dicomgate.iam.mint import Mint
    from dicomgate.iam.oidc.settings import LoginSettings
    from dicomgate.iam.oidc.token_source import TokenSource


class IntroductionError(Exception):
    """The key that tokens are signed with cannot be used or made; says where and why."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the configuration asks for. Made before anything else changes, since only this can fail."""

    mint: "Mint | None"
    login: "LoginSettings | None"


class Introduction:
    """`store` is the file of the records: the signing key lies beside it. `report` is called on any thread."""

    def __init__(self, store: Path, report: Callable[[str], None]) -> None:
        self._key_file = store.with_suffix(".token-key")
        self._report = report
        self._mint: Mint | None = None
        self._login: LoginSettings | None = None
        self._source: TokenSource | None = None
        self._leaving: list[TokenSource] = []

    def prepare(self, configuration: Configuration) -> Means:
        """Read the key, or make it; nothing is in use yet. IntroductionError."""
        wanted = {archive.identity for archive in configuration.settings.rules.archives}
        mint = self._made_mint(configuration.settings.name) if UpstreamIdentity.MINT in wanted else None
        return Means(mint, configuration.login if UpstreamIdentity.LOGIN in wanted else None)

    def use(self, means: Means) -> None:
        """From now on these. Does not block: a sign-in that is no longer wanted ends by itself."""
        self._mint = means.mint
        if means.login == self._login:
            return
        if self._source is not None:
            self._source.close(0)
            self._leaving.append(self._source)
        self._login = means.login
        self._source = None if means.login is None else self._started(means.login)

    def close(self) -> None:
        """Waits a little for a renewal that is under way: what the provider hands out then must be kept."""
        for source in (*self._leaving, *([] if self._source is None else [self._source])):
            source.close()

    def token(self, permit: AssociationPermit) -> bytes | None:
        """See UpstreamToken. On the event loop; asks nobody."""
        match permit.route.archive.identity:
            case UpstreamIdentity.MINT:
                return self._minted(permit)
            case UpstreamIdentity.LOGIN:
                token = None if self._source is None else self._source.current_token()
                return None if token is None else token.encode("ascii")
            case UpstreamIdentity.STRIP | UpstreamIdentity.PASS | UpstreamIdentity.MAP:
                return None
            case impossible:
                assert_never(impossible)

    def key_set(self) -> dict[str, Any]:
        """What verifies minted tokens, as a JWK set (RFC 7517 5): public, to be served to archives. From any thread."""
        mint = self._mint
        return {"keys": []} if mint is None else mint.key_set()

    def _minted(self, permit: AssociationPermit) -> bytes | None:
        user = permit.principal
        if self._mint is None or user is None:
            return None
        now = time.time()
        if user.expires is not None and user.expires <= now:
            return None  # the archive would have to refuse it
        return self._mint.token(user.name, _names(permit), permit.route.archive.name, now, user.expires).encode("ascii")

    def _made_mint(self, gate: str) -> "Mint":
        from dicomgate.iam.mint import Mint, MintError, signing_key  # noqa: PLC0415 - a library, for who needs it

        try:
            return Mint(gate, signing_key(self._key_file))
        except MintError as error:
            raise IntroductionError(str(error)) from None

    def _started(self, login: "LoginSettings") -> "TokenSource":
        from dicomgate.iam.oidc.keepers import keeper  # noqa: PLC0415 - libraries, for who needs them
        from dicomgate.iam.oidc.sign_in import SignIn  # noqa: PLC0415
        from dicomgate.iam.oidc.token_source import TokenSource  # noqa: PLC0415

        source = TokenSource(SignIn(login), keeper(login), self._report)
        source.start()
        return source


def _names(permit: AssociationPermit) -> Iterable[str]:
    """The roles that hold at this archive; of a user who offered more than was asked for, none are known."""
    return () if permit.roles is None else (role.name for role in permit.roles)
