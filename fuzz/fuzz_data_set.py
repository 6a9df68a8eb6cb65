"""Invariant: any bytes are a data set that is about something or nothing, the same however they are cut.

Where a deflated stream is damaged, zlib gives what came before the damage or not, depending on the cut.
"""

import sys
import zlib

import atheris

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.session.data_set import DEEPEST, LONGEST_VALUE, DataSetHead
    from dicomgate.wire.framer import p_data_pdus

SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def fuzz_one(data: bytes) -> None:
    """`data` says how it is encoded and cut, and is the data set."""
    if len(data) < 3:
        return
    syntax, cut, content = SYNTAXES[data[0] % len(SYNTAXES)], 1 + data[1], data[2:]
    whole, cutting = DataSetHead(syntax), DataSetHead(syntax)
    wire = p_data_pdus(1, content, len(content) + 7)  # the control header is no matter here
    whole.feed(wire)
    cutting.feed(wire[:12])
    for start in range(12, len(wire), cut):
        if cutting.ended:
            break
        cutting.feed(wire[start : start + cut])
        if len(cutting._rest) > 12 + LONGEST_VALUE or len(cutting._open) > 2 * DEEPEST:
            raise AssertionError(f"more is kept than is allowed, of {data.hex()}")
    if data[0] % len(SYNTAXES) == len(SYNTAXES) - 1 and _is_damaged(content):
        return
    for identifier in (False, True):
        if whole.about(identifier=identifier) != cutting.about(identifier=identifier):
            raise AssertionError(f"it depends on the cut what {data.hex()} is about")
    if whole.sop_instance_uid != cutting.sop_instance_uid:
        raise AssertionError(f"it depends on the cut which instance {data.hex()} is")


def _is_damaged(content: bytes) -> bool:
    try:
        zlib.decompressobj(-zlib.MAX_WBITS).decompress(content)
    except zlib.error:
        return True
    return False


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
