"""Invariant: any bytes decode to a Command or Malformed, never an exception; its encoding decodes to the same."""

import sys

import atheris

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.wire.command import decode_command, encode_command
    from dicomgate.wire.pdu import Malformed


def fuzz_one(data: bytes) -> None:
    """`data` is a command set, all fragments joined."""
    command = decode_command(data)
    if isinstance(command, Malformed):
        return
    canonical = encode_command(command)
    if decode_command(canonical) != command:
        raise AssertionError(f"{command.command_field.name} changed by its own encoding: {canonical.hex()}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
