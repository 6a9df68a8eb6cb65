"""Names of Kerberos clients: what the library prints in, a name and its realm out."""

import re
from dataclasses import dataclass

from dicomgate.identity.claims import LONGEST_NAME
from dicomgate.wire.text import is_plain_text

ANONYMOUS = "WELLKNOWN"
"""First part of the names that RFC 6111 reserves; WELLKNOWN/ANONYMOUS gets tickets for nobody in particular."""

_NAME = re.compile(r"(?P<name>(?:[^@\\]|\\.)+)@(?P<realm>[^@\\]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Client:
    """`name` keeps the backslashes with which the library marks characters that would mean something else."""

    name: str
    realm: str

    @property
    def anonymous(self) -> bool:
        return self.name.split("/")[0] == ANONYMOUS

    def called(self, strip_realm: bool) -> str:
        """What records call the user."""
        return self.name if strip_realm else f"{self.name}@{self.realm}"


def client(text: str) -> Client | None:
    """None when it is no name with a realm, or not one that can be shown."""
    found = _NAME.fullmatch(text)
    if found is None or len(text) > LONGEST_NAME or not is_plain_text(text):
        return None
    return Client(found["name"], found["realm"])
