"""Write detectors.md: every detector with its numbers, from the classes the gate runs.

In: `dicomgate.detect.catalogue`. Out: Markdown; `python docs/reference/write_detectors.py` writes detectors.md beside
this file, and a test holds the two together.
"""

import inspect
from pathlib import Path

from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.detector import Detector
from dicomgate.detect.export import quantity

_HITS = {"address": "the address", "party": "the party", "nobody": "nobody"}

INTRODUCTION = """\
# Detectors

What attacks look like, seen from the gate. This page is written by `write_detectors.py` from the detectors themselves.
[How to use them](../howto/detection.md); [what an action does](../howto/bans.md). Numbers are changed in
`[detect.rules.ID]`, see [settings](settings.md#detect).

There are no public numbers on attacks on DICOM, so every threshold is a guess. "Learns" means that what is usual at
this site takes its place after `detect.learn` (14 days); until then its findings bear `guess`.

Techniques are those of MITRE ATT&CK for enterprises. "Hits" says whom an action falls on: an address while nobody has
proved anything, the party (its user, or its AE title) once it was admitted, nobody where the guilt is not clear.

| ID | Finds | Severity | Technique | Threshold | Within | Action | For | Learns |
|---|---|---|---|---|---|---|---|---|
"""

ENDING = """\
## What is not seen

The gate reads no pixel data and keeps no data set, so these of the catalogue it was planned with do not exist here:
stepped queries (D13), slow harvests over a month (D18), retrievals without an order (D19), images that contradict
themselves (D21, D22), payloads inside objects (D24), compression bombs, deep nesting and wrong pixel geometry (D30 to
D32). D20 goes by the digest of what is stored, where an archive has [`tamper`](../howto/tamper-alarm.md).

D11 looks at the keys of a C-FIND while they are relayed, up to 16 KiB and in the two uncompressed little-endian
transfer syntaxes, and keeps one bit. A query whose keys match everything in another way (a date range of a century)
is not taken for one without keys; D12 counts what it brings. D12 counts matches, not patients. D16 cannot see images
that an archive sends past the gate, and takes 512 KiB for each of them.

In `mode = "monitor"` of the gate nobody is refused for his name, so D01 to D03 find little. D23 goes on finding.
"""


def text() -> str:
    """The whole page."""
    rows = "".join(_row(each) for each in DETECTORS)
    sections = "\n".join(_section(each) for each in DETECTORS)
    return f"{INTRODUCTION}{rows}\n{sections}\n{ENDING}"


def _row(each: type[Detector]) -> str:
    threshold = "once" if each.unit == "once" else quantity(each.threshold)
    cells = (
        f"`{each.id}`",
        each.title,
        each.severity.value,
        each.technique,
        threshold,
        _duration(each.window),
        each.action.word,
        _duration(each.duration) if each.action.word in ("delay", "cap", "refuse", "ban") else "-",
        "yes" if each.learns else "",
    )
    return "| " + " | ".join(cells) + " |\n"


def _section(each: type[Detector]) -> str:
    lines = [f"## {each.id}: {each.title}", ""]
    own = each.__dict__.get("__doc__")
    if own:
        lines += [inspect.cleandoc(own), ""]
    if each.unit != "once":
        within = f" within {_duration(each.window)}" if each.window else ""
        lines += [f"Threshold: {quantity(each.threshold)} {each.unit}{within}.", ""]
    lines += [f"Records: {', '.join(f'`{event.value}`' for event in each.events)}. Hits: {_HITS[each.hits]}.", ""]
    lines += [f"False alarms: {each.false_positives}.", ""]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s" if seconds else "-"


if __name__ == "__main__":
    Path(__file__).with_name("detectors.md").write_text(text(), encoding="utf-8")
