"""Invariant: any bytes decode to a PDU or Malformed, never an exception; what a PDU encodes to, decodes to the same."""

import sys
from dataclasses import replace

import atheris

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.wire.codec import decode, encode
    from dicomgate.wire.codes import PduType
    from dicomgate.wire.pdu import AssociateAccept, AssociateRequest, Malformed


def fuzz_one(data: bytes) -> None:
    """`data` is a whole PDU; its length field is the framer's business and not looked at."""
    if len(data) < 6 or not 1 <= data[0] <= 7:
        return
    pdu = decode(PduType(data[0]), data[6:])
    if isinstance(pdu, Malformed):
        return
    whole = encode(pdu)
    if isinstance(pdu, AssociateRequest | AssociateAccept):
        pdu = replace(pdu, user_information=replace(pdu.user_information, unknown_items=0))
    if decode(PduType(whole[0]), whole[6:]) != pdu:
        raise AssertionError(f"{type(pdu).__name__} changed by its own encoding: {whole.hex()}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
