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

The gate reads no pixel data and keeps no data set. So these of the catalogue it was planned with do not exist here, and
`dicomgate watch`, which sees less, has them neither:

- D21, a new instance in a study that was closed: only the archive or the RIS knows which study is. The date inside an
  object says when it was taken: every prior that is imported from a disc would be a finding.
- D22, one study with two patients: name and ID of every object would have to be read and remembered for months, be it
  as pseudonyms. They stand behind everything that is read today (group 0008), and in some transfer syntaxes inside what
  is deflated.
- D24, programs hidden in objects: the preamble of a file is not sent by a C-STORE, so it cannot be seen on the way. An
  encapsulated document or a private element may stand anywhere in an object; to find it, all of it has to be parsed.
- D30, deflated bombs: the gate inflates at most the first 4 KiB of an object (with `tamper`), so it cannot be hit, and
  the ratio is not known. Deflated transfer syntaxes are refused unless `transfer_syntaxes` of a peer names them.
- D32, pixels that contradict their header: that takes group 0028, the pixel data, and a decoder for each transfer
  syntax, which is the very code that is attacked that way.

And these see a part:

- D11, D13 and D31 go by the keys of a C-FIND, which are read while they pass, up to 16 KiB and in the two uncompressed
  little-endian transfer syntaxes. Of them one bit, one slice and one number are kept. A query that matches everything
  in another way (a date range of a century, each day in random order over weeks) is not found by them; D12 counts what
  it brings. D31 sees queries only: how deeply a stored object is nested is not read.
- D12 counts matches, not patients. D18 counts retrievals, not studies. D19 knows whether a party asked before, not
  whether it asked for this.
- D16 cannot see images that an archive sends past the gate, and takes 512 KiB for each of them.
- D20 goes by the digest of what is stored, where an archive has [`tamper`](../howto/tamper-alarm.md).

In `mode = "monitor"` of the gate nobody is refused for his name, so D01 to D03 find little. D23 goes on finding. What
a watcher on a mirror port can feed them is told in [its own page](../howto/watch.md#what-the-detectors-can-see).
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
