"""P-DATA-TF bytes in, as the framer sends them on, whatever the cut; the data-set fragments in them out, uncopied."""

from collections.abc import Iterator
from struct import Struct

_HEADERS = 12
"""A P-DATA-TF of one PDV has so many bytes before its fragment; the framer sends on no others, and never cuts them."""
_PDU_LENGTH = Struct(">I")
_PDV_HEADER = 6


class Fragments:
    """Those of one data set, in order."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = 0  # bytes of the present fragment that are still to come

    def of(self, wire: memoryview | bytes) -> Iterator[memoryview]:
        """Those in the `wire` of the next DataRun; views that last as long as it does."""
        view = memoryview(wire)
        position, end = 0, len(view)
        while position < end:
            if not self._left:
                (length,) = _PDU_LENGTH.unpack_from(view, position + 2)
                self._left = length - _PDV_HEADER
                position += _HEADERS
                continue
            stop = min(end, position + self._left)
            self._left -= stop - position
            yield view[position:stop]
            position = stop
