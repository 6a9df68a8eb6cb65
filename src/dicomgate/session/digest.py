"""The digest of one data set as it streams through. In: its P-DATA-TF bytes, whatever the cut; out: a SHA-256.

Only data-set bytes are hashed, so the digest is that of the data set in a file (without PS3.10 preamble and group
0002), however a sender fragments it.
"""

from hashlib import sha256
from struct import Struct

from dicomgate.session.data_set import HEAD, sop_instance_uid

_HEADERS = 12
"""A P-DATA-TF of one PDV has so many bytes before its fragment; the framer sends on no others, and never cuts them."""
_PDU_LENGTH = Struct(">I")
_PDV_HEADER = 6


class DataSetDigest:
    """Fed with the `wire` of each DataRun of one data set, in order."""

    __slots__ = ("_hash", "_head", "_in_fragment", "_transfer_syntax")

    def __init__(self, transfer_syntax: str) -> None:
        self._transfer_syntax = transfer_syntax
        self._hash = sha256()
        self._head = bytearray()
        self._in_fragment = 0

    def feed(self, wire: memoryview | bytes) -> None:
        """Take more of it."""
        view = memoryview(wire)
        position, end = 0, len(view)
        while position < end:
            if not self._in_fragment:
                (length,) = _PDU_LENGTH.unpack_from(view, position + 2)
                self._in_fragment = length - _PDV_HEADER
                position += _HEADERS
                continue
            stop = min(end, position + self._in_fragment)
            piece = view[position:stop]
            self._hash.update(piece)
            if len(self._head) < HEAD:
                self._head += piece[: HEAD - len(self._head)]
            self._in_fragment -= stop - position
            position = stop

    @property
    def sha256(self) -> str:
        """Of what was fed so far, in lower-case hexadecimal."""
        return self._hash.hexdigest()

    @property
    def sop_instance_uid(self) -> str | None:
        """Which instance the data set itself says it is; None when it does not say so at its beginning."""
        return sop_instance_uid(bytes(self._head), self._transfer_syntax)
