"""Fixtures of the directory tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomgate.iam.ldap.settings import LdapSettings
from dicomgate.iam.ldap.verifier import LdapVerifier

Make = Callable[[LdapSettings], LdapVerifier]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Where the service account's passcode will stand."""
    return tmp_path / "passcode"


@pytest.fixture
def make() -> Iterator[Make]:
    """Verifiers that are closed at the end."""
    made: list[LdapVerifier] = []

    def verifier(settings: LdapSettings) -> LdapVerifier:
        made.append(LdapVerifier(settings))
        return made[-1]

    yield verifier
    for each in made:
        each.close()
