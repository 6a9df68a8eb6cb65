"""The digest of one data set as it streams through. In: its P-DATA-TF bytes, whatever the cut; out: a SHA-256.

Only data-set bytes are hashed, so the digest is that of the data set in a file (without PS3.10 preamble and group
0002), however a sender fragments it.
"""

from hashlib import sha256

from dicomgate.session.fragments import Fragments


class DataSetDigest:
    """Fed with the `wire` of each DataRun of one data set, in order."""

    __slots__ = ("_fragments", "_hash")

    def __init__(self) -> None:
        self._fragments = Fragments()
        self._hash = sha256()

    def feed(self, wire: memoryview | bytes) -> None:
        """Take more of it."""
        for fragment in self._fragments.of(wire):
            self._hash.update(fragment)

    @property
    def sha256(self) -> str:
        """Of what was fed so far, in lower-case hexadecimal."""
        return self._hash.hexdigest()
