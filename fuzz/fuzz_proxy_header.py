"""Invariant: any bytes are Incomplete, a ProxyHeader within them or Malformed; more bytes change only Incomplete."""

import sys

import atheris

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.wire.proxy_protocol import LONGEST_V2, Incomplete, ProxyHeader, parse


def fuzz_one(data: bytes) -> None:
    """`data` is the start of a connection."""
    header = parse(data)
    if isinstance(header, Incomplete):
        if len(data) >= LONGEST_V2:
            raise AssertionError(f"still waiting after {len(data)} bytes")
        return
    if isinstance(header, ProxyHeader) and not 0 < header.consumed <= len(data):
        raise AssertionError(f"{header.consumed} of {len(data)} bytes consumed")
    if parse(data + b"\r\n") != header:
        raise AssertionError("bytes after the header changed it")


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
