"""Invariant: no bytes in sub-item 58H get anybody in; only what a verifier vouches for does.

The rest of the A-ASSOCIATE-RQ is good, so that whatever is refused is refused for its user identity.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.facts import Side
    from dicomgate.identity.verifier import Cause, Refuted, Unavailable
    from dicomgate.session.events import Answered, Connect, Received, Recorded, Relay, TimeUp, Verify
    from session.test_identity import DEVICE, MUTUAL, PEER, TLS, play, policy
    from system.raw_archive import associate_rq, item, user_information

RULES = [policy(PEER), policy(DEVICE), policy(PEER, verifiers=())]
ANSWERS = [None, Unavailable("down"), *(Refuted(cause, "no") for cause in Cause)]


def fuzz_one(data: bytes) -> None:
    """`data` says which peer, which transport and what its verifiers say, and is the item."""
    if len(data) < 3:
        return
    rules, answer = data[0] % len(RULES), ANSWERS[data[1] % len(ANSWERS)]
    # Nobody shows the device's certificate: with it, a name alone is foreseen at one of these peers.
    tls = (TLS, None, MUTUAL)[data[2] % 3] if rules != 1 else (TLS, None)[data[2] % 2]
    offered = user_information(item(0x58, data[3:65000]))
    session = play(RULES[rules], tls).session
    asked = session.handle(Received(Side.REQUESTOR, memoryview(associate_rq(calling="TELE", user=offered))), 1001.0)
    said = [*asked]
    if answer is not None and any(isinstance(command, Verify) for command in asked):
        said += session.handle(Answered(answer), 1002.0)
    said += session.handle(Recorded(True), 1003.0)
    if not session.finished:
        said += session.handle(TimeUp(), 1e6)
    for command in said:
        if isinstance(command, Connect) or (isinstance(command, Relay) and command.side is Side.ACCEPTOR):
            raise AssertionError(f"an identity that nobody vouched for was let in: {data[3:].hex()}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
