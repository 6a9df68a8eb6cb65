"""Invariant: any bytes are MoreNeeded, a ClientHello, DICOM or Malformed; more bytes change only MoreNeeded."""

import sys

import atheris

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.wire.client_hello import LONGEST, MoreNeeded, parse_client_hello


def fuzz_one(data: bytes) -> None:
    """`data` is the start of a connection."""
    found = parse_client_hello(data)
    if isinstance(found, MoreNeeded):
        if len(data) >= LONGEST:
            raise AssertionError(f"still waiting after {len(data)} bytes")
        return
    if parse_client_hello(data + b"\x16\x03") != found:
        raise AssertionError("bytes after the ClientHello changed what was found")


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
