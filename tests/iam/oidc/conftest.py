"""A provider of one's own for each test."""

import functools
from collections.abc import Iterator

import pytest

from dicomgate.iam.oidc import web
from iam.oidc.issuer import key_set
from iam.oidc.stand_in import StandIn, standing_in


@pytest.fixture(autouse=True, scope="session")
def machine_authorities() -> Iterator[None]:
    """Reading those of this machine takes a tenth of a second; once is enough for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "trust", functools.cache(web.trust))
        yield


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with standing_in() as found:
        found.publish(key_set())
        yield found
