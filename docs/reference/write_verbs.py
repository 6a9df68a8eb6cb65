"""Write verbs.md: which DIMSE operations each verb stands for, from the table the policy asks.

In: `dicomgate.policy.verbs`. Out: Markdown; `python docs/reference/write_verbs.py` writes verbs.md beside this file,
and a test holds the two together.
"""

from collections import defaultdict
from pathlib import Path

from pydicom.uid import UID_dictionary

from dicomgate.policy.model import Verb
from dicomgate.policy.verbs import SERVICES

MEANINGS = {
    Verb.ECHO: "verify a connection",
    Verb.STORE: "send objects",
    Verb.FIND: "search for patients, studies, series and objects",
    Verb.WORKLIST: "ask for the modality worklist; `find` does not include it",
    Verb.MOVE: "have objects sent to a destination; which one is judged by `move_to`",
    Verb.GET: "retrieve objects on the same association",
    Verb.COMMIT: "ask for storage commitment, and receive its report",
    Verb.MPPS: "report a performed procedure step",
    Verb.UPS: "unified procedure steps",
    Verb.PRINT: "print management",
}

INTRODUCTION = """\
# Verbs

A peer's `may` is an array of verbs. A verb is what a DIMSE request means on the SOP class of its presentation
context. A request that no line of this page names has no verb, and what has no verb is refused.
This page is written by `write_verbs.py` from the table the gate asks.

| Verb | Lets a peer |
|---|---|
"""

RULES = """\

## Beyond the table

- `store` also covers every SOP class below `1.2.840.10008.5.1.4.1.1.` that the table does not list otherwise.
- A SOP class outside the DICOM root `1.2.840.10008.` counts as a vendor's private storage class: C-STORE on it is
  `store`, everything else is refused ([why](../adr/0006-private-classes-are-storage.md)). `sop_classes` of a peer
  narrows that.
- Any other SOP class of the DICOM root has no verb.
- `get` also lets the archive send C-STORE back on the same association, while the C-GET runs and for SOP classes for
  which the client proposed the SCP role (PS3.4 C.5.3). Those objects need no `store`.
- `commit`, `mpps`, `ups` and `print` also let the archive report events (N-EVENT-REPORT), on the same association and,
  where the peer has an `address`, on one of its own. Nobody but an archive reports events to a peer.
- An archive that calls a peer back may `echo` and `store`, because the peer's `address` says so, and report events of
  the verbs that the peer's `may` names. Nothing else.
- C-CANCEL needs no verb: it passes while the C-FIND, C-MOVE or C-GET that it names is running.
- Transfer syntaxes that pass only where a peer names them in `transfer_syntaxes`: deflated, big endian and JPIP.

## The table
"""


def text() -> str:
    """The whole page."""
    lines: dict[Verb, list[str]] = defaultdict(list)
    for uid, service in sorted(SERVICES.items(), key=lambda entry: tuple(map(int, entry[0].split(".")))):
        by_verb: dict[Verb, list[str]] = defaultdict(list)
        for request, verb in service.items():
            by_verb[verb].append(request.name.removesuffix("_RQ").replace("_", "-"))
        for verb, requests in by_verb.items():
            lines[verb].append(f"| {_name(uid)} | `{uid}` | {', '.join(requests)} |")
    parts = [INTRODUCTION + "\n".join(f"| `{verb}` | {MEANINGS[verb]} |" for verb in Verb), RULES]
    for verb in Verb:
        head = [f"### {verb}", "", "| SOP class | UID | Requests |", "|---|---|---|"]
        parts.append("\n".join([*head, *lines[verb], ""]))
    return "\n".join(parts)


def _name(uid: str) -> str:
    entry = UID_dictionary.get(uid)
    return str(entry[0]) + (" (retired)" if entry[3] else "") if entry else "not in the dictionary"


if __name__ == "__main__":
    Path(__file__).with_name("verbs.md").write_text(text(), encoding="utf-8")
