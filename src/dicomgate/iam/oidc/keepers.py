"""Where the tokens of a signed-in user are kept between two starts: the keyring of the system, else a file.

Whoever has them is that user. The file belongs to its owner alone, and one that others may read is refused.
"""

import contextlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from dicomgate.iam.oidc.jwt import numeric_date
from dicomgate.iam.oidc.settings import LoginSettings
from dicomgate.iam.oidc.sign_in import Tokens
from dicomgate.iam.oidc.strict_json import WrongJsonError, json_object

LARGEST = 256 * 1024
_SERVICE = "dicomgate"


class KeeperError(Exception):
    """Tokens cannot be kept or read; says where and why, and no token."""


class Keeper(Protocol):
    """One place."""

    @property
    def where(self) -> str:
        """For people."""
        ...

    def load(self) -> Tokens | None: ...

    def save(self, tokens: Tokens) -> None: ...

    def forget(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FileKeeper:
    """A file that only its owner may read; replaced as a whole."""

    path: Path

    @property
    def where(self) -> str:
        return str(self.path)

    def load(self) -> Tokens | None:
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeeperError(f"{self.path} cannot be read: {_reason(error)}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeeperError(f"others may read {self.path}: chmod 600, and sign in again if they have")
        return _tokens(content, self.where)

    def save(self, tokens: Tokens) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made with mode 0600, under a name that nobody can have waited for.
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(json.dumps(asdict(tokens)).encode())
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self.path)
            except OSError:
                os.unlink(name)
                raise
        except OSError as error:
            raise KeeperError(f"{self.path} cannot be written: {_reason(error)}") from None

    def forget(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise KeeperError(f"{self.path} cannot be removed: {_reason(error)}") from None


@dataclass(frozen=True, slots=True)
class KeyringKeeper:
    """The keyring of the system. `backend` is one of the library keyring's."""

    backend: Any
    account: str
    where: str = "the keyring"

    def load(self) -> Tokens | None:
        try:
            found = self.backend.get_password(_SERVICE, self.account)
        except Exception as error:  # each kind of keyring has errors of its own
            raise KeeperError(f"the keyring cannot be read: {type(error).__name__}") from None
        return None if found is None else _tokens(str(found).encode(), self.where)

    def save(self, tokens: Tokens) -> None:
        try:
            self.backend.set_password(_SERVICE, self.account, json.dumps(asdict(tokens)))
        except Exception as error:
            raise KeeperError(f"the keyring cannot be written: {type(error).__name__}") from None

    def forget(self) -> None:
        if self.load() is None:
            return
        try:
            self.backend.delete_password(_SERVICE, self.account)
        except Exception as error:
            raise KeeperError(f"the keyring cannot be written: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class FirstThatWorks:
    """The first of several places that can keep them; what an earlier sign-in left in another one is removed."""

    keepers: tuple[Keeper, ...]

    @property
    def where(self) -> str:
        """Where they are now."""
        for keeper in self.keepers:
            with contextlib.suppress(KeeperError):
                if keeper.load() is not None:
                    return keeper.where
        return self.keepers[-1].where

    def load(self) -> Tokens | None:
        troubles: list[KeeperError] = []
        for keeper in self.keepers:
            try:
                found = keeper.load()
            except KeeperError as error:
                troubles.append(error)
                continue
            if found is not None:
                return found
        if len(troubles) == len(self.keepers):
            raise troubles[-1]
        return None

    def save(self, tokens: Tokens) -> None:
        for number, keeper in enumerate(self.keepers):
            try:
                keeper.save(tokens)
            except KeeperError:
                if number + 1 == len(self.keepers):
                    raise
                continue
            for other in self.keepers[number + 1 :]:
                other.forget()
            return

    def forget(self) -> None:
        """KeeperError if tokens may be left anywhere."""
        troubles: list[KeeperError] = []
        for keeper in self.keepers:
            try:
                keeper.forget()
            except KeeperError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]


def keeper(settings: LoginSettings) -> Keeper:
    """The keyring where there is one, and the file of `[login]`."""
    file = FileKeeper(settings.tokens)
    backend = _keyring()
    if backend is None:
        return file
    return FirstThatWorks((KeyringKeeper(backend, f"{settings.client_id} at {settings.issuer}"), file))


def _keyring() -> Any | None:
    """None where the library is not installed, or finds no keyring that holds secrets."""
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    backend = keyring.get_keyring()
    return backend if backend.priority >= 1 else None


def _tokens(content: bytes, where: str) -> Tokens | None:
    """None for what is no longer of any use."""
    try:
        found = json_object(content)
    except WrongJsonError:
        raise KeeperError(f"expected tokens in {where}, came something else; sign in again") from None
    access, refresh = found.get("access_token"), found.get("refresh_token")
    obtained, expires = numeric_date(found.get("obtained")), numeric_date(found.get("expires"))
    if not isinstance(access, str) or not isinstance(refresh, str | None) or obtained is None or expires is None:
        raise KeeperError(f"expected tokens in {where}, came something else; sign in again")
    return Tokens(access, refresh, obtained, expires)


def _reason(error: OSError) -> str:
    return (error.strerror or "no reason given").lower()
