"""The digest is that of the data set, whatever fragments and cuts."""

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dicomgate.session.digest import DataSetDigest
from dicomgate.wire.framer import DataRun, Framer
from playbook import p_data, pdv


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8), st.data())
def test_neither_fragments_nor_cuts_matter(data, places, more):
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    pdvs = [pdv(3, 2 if n == len(pieces) - 1 else 0, piece) for n, piece in enumerate(pieces)]
    stream = b""
    while pdvs:
        together = more.draw(st.integers(1, 3))
        stream, pdvs = stream + p_data(*pdvs[:together]), pdvs[together:]
    framer, digest, size = Framer(1024, 1 << 20), DataSetDigest(), 0
    while stream:
        step = more.draw(st.integers(1, 4000))
        for frame in framer.feed(memoryview(stream[:step])):
            assert isinstance(frame, DataRun)
            digest.feed(frame.wire)
            size += frame.size
        stream = stream[step:]
    assert size == len(data)
    assert digest.sha256 == sha256(data).hexdigest()
