"""Invariant: bytes are LDAP responses or NotBerError, text is a filter or NotAFilterError, never anything else."""

import sys

import atheris

with atheris.instrument_imports(include=["dicomgate.iam"]):
    from dicomgate.iam import ber
    from dicomgate.iam.ber import NotBerError
    from dicomgate.iam.ldap import filters, messages
    from dicomgate.iam.ldap.filters import NotAFilterError


def fuzz_one(data: bytes) -> None:
    """The first bit chooses which of the two; the rest is what came."""
    if not data:
        return
    if data[0] & 1:
        try:
            messages.decode(data[1:])
        except NotBerError:
            return
    else:
        try:
            found = filters.parse(data[1:].decode("utf-8", "replace"))
        except NotAFilterError:
            return
        values = dict.fromkeys(filters.placeholders(found), ")(uid=*")
        if len(list(ber.elements(filters.encode(found, values)))) != 1:
            raise AssertionError("a filter became several")


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
