"""One of everything around one gate, or the same with no gate between. In: a folder and a route; out: `Hospital`.

The direct route is the baseline: a scenario that fails there says nothing about the gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom import Dataset, dcmread

from lab import dcmtk, studies
from lab.gate import Gate, running_gate
from lab.orthanc import Modality, Orthanc, orthanc
from lab.process import LOOPBACK, Address, free_address
from lab.pynetdicom_peers import PynetdicomPeer, pynetdicom_peer
from lab.studies import KINDS, Instance

WORKLIST_ITEMS = 5


class Route(StrEnum):
    """How clients and archives reach each other."""

    GATE = "gate"
    DIRECT = "direct"


class Title:
    """AE titles of everyone who calls. Each is one `[[peer]]` of the gate."""

    MODALITY = "CT1"
    COMMITTING = "CT2"
    """Gets its storage commitment reports on a new association."""
    WORKSTATION = "WORKSTATION"
    VIEWER = "VIEWER"
    """Receives what others move to it."""
    CLINIC = "CLINIC"
    """An Orthanc that calls the archives of the hospital."""


@dataclass(frozen=True, slots=True)
class Hospital:
    """Archives, peers, and the way between them."""

    route: Route
    gate: Gate | None
    files: dcmtk.Server
    """storescp: only receives."""
    archive: dcmtk.Server
    """dcmqrscp."""
    orthanc: Orthanc
    worklist: dcmtk.Server
    notebook: PynetdicomPeer
    """The pynetdicom archive, which notes what it sees."""
    viewer: PynetdicomPeer
    committing: PynetdicomPeer
    clinic: Orthanc
    workstation: Address
    """Where the workstation listens while it waits for what it has moved to itself."""
    kept: tuple[Instance, ...]
    """Two studies that dcmqrscp, Orthanc and the pynetdicom archive hold from the start."""

    def to(self, ae_title: str) -> Address:
        """Where a client connects to reach the archive with this title."""
        if self.gate:
            return self.gate.address("outside")
        archives = (self.files, self.archive, self.orthanc, self.worklist, self.notebook)
        return {archive.ae_title: archive.address for archive in archives}[ae_title]


@contextmanager
def hospital(directory: Path, route: Route) -> Iterator[Hospital]:
    """Start everything; the two kept studies go in past the gate."""
    kept = tuple(
        studies.study(directory / "kept", "kept-one", 3)
        + studies.study(directory / "kept", "kept-two", 2, kinds=[KINDS[2], KINDS[4]])
    )
    inside, outside = free_address(), free_address()
    workstation = free_address()
    with ExitStack() as stack:
        start = stack.enter_context
        viewer = start(pynetdicom_peer(Title.VIEWER))
        committing = start(pynetdicom_peer(Title.COMMITTING))
        peers = {
            Title.WORKSTATION: workstation,
            Title.VIEWER: viewer.address,
            Title.COMMITTING: committing.address,
            Title.CLINIC: free_address(),
        }
        # What an archive knows: the true address of a peer, or the inner listener for all of them.
        known = dict.fromkeys(peers, inside) if route is Route.GATE else peers

        files = start(dcmtk.storescp(directory / "storescp"))
        archive = start(dcmtk.dcmqrscp(directory / "dcmqrscp", move_destinations=known))
        worklist = start(dcmtk.wlmscpfs(directory / "wlmscpfs", map(studies.worklist_dump, range(WORKLIST_ITEMS))))
        modalities = {title: Modality(title, address) for title, address in known.items()}
        box = start(orthanc(directory / "orthanc", modalities=modalities))
        notebook = start(
            pynetdicom_peer(
                "NOTEBOOK",
                instances=kept,
                worklist=[worklist_item(number) for number in range(WORKLIST_ITEMS)],
                move_destinations=known,
                report_to={Title.COMMITTING: known[Title.COMMITTING]},
            )
        )
        archives: dict[str, Address] = {
            each.ae_title: each.address for each in (files, archive, box, worklist, notebook)
        }
        called = {title: Modality(title, outside if route is Route.GATE else archives[title]) for title in archives}
        clinic = start(orthanc(directory / "clinic", Title.CLINIC, address=peers[Title.CLINIC], modalities=called))

        paths = [item.path for item in kept]
        for path in paths:
            box.store(path)
        loaded = dcmtk.storescu(archive.address, "LOADER", archive.ae_title, paths, "-xe")
        if not loaded.ok:
            raise ValueError(f"dcmqrscp did not take the studies: {loaded.output}")
        gate = None
        if route is Route.GATE:
            gate = start(running_gate(directory / "gate", _configuration(outside, inside, archives, peers)))
        yield Hospital(
            route, gate, files, archive, box, worklist, notebook, viewer, committing, clinic, workstation, kept
        )


def worklist_item(number: int) -> Dataset:
    """What the pynetdicom archive answers to a modality worklist query."""
    step = Dataset()
    step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate = Title.MODALITY, "20260101"
    step.Modality, step.ScheduledProcedureStepID = "CT" if number % 2 else "MR", f"SPS{number}"
    item = Dataset()
    item.PatientName, item.PatientID = f"SYNTHETIC^WORKLIST{number:02d}", f"WL{number:05d}"
    item.AccessionNumber, item.StudyInstanceUID = f"ACC{number:05d}", studies.uid("worklist", number)
    item.ScheduledProcedureStepSequence = [step]
    return item


def same_data_sets(sent: Mapping[str, Instance], folder: Path) -> list[str]:
    """What differs between instances and the files below a folder that hold the same SOP instances; empty is good."""
    found = studies.files_by_sop_instance(folder, sent)
    wrong = [f"{sent[uid].name} is missing" for uid in sent.keys() - found.keys()]
    return wrong + [
        f"{sent[uid].name} differs from what was sent"
        for uid, path in found.items()
        if studies.data_set_of(path) != sent[uid].data_set()
    ]


def names_in(responses: Path) -> list[str]:
    """The patient names in the response files that findscu wrote, sorted."""
    return sorted(str(dcmread(path).PatientName) for path in responses.glob("rsp*.dcm"))


def _configuration(
    outside: Address, inside: Address, archives: Mapping[str, Address], peers: Mapping[str, Address]
) -> str:
    every = [title.lower() for title in archives]
    tables = [
        '[gate]\nname = "lab"\nstate = "sqlite:///gate.db"',
        f'[[listener]]\nname = "outside"\nbind = "{outside}"\nnetworks = ["127.0.0.0/8"]',
        f'[[listener]]\nname = "inside"\nbind = "{inside}"\nnetworks = ["{LOOPBACK}"]',
    ]
    for title, address in archives.items():
        tables.append(f'[[archive]]\nname = "{title.lower()}"\nae_title = "{title}"\naddress = "{address}"')
    may = {
        Title.MODALITY: ["echo", "store", "worklist", "mpps", "commit"],
        Title.COMMITTING: ["echo", "store", "commit"],
        Title.WORKSTATION: ["echo", "store", "find", "get", "move"],
        Title.VIEWER: ["echo"],
        Title.CLINIC: ["echo", "store", "find", "move"],
    }
    for title, verbs in may.items():
        lines = [
            "[[peer]]",
            f'name = "{title.lower()}"',
            f'ae_titles = ["{title}"]',
            'networks = ["127.0.0.0/8"]',
            'listeners = ["outside"]',
            'assurance = "address"',
            f"may = {verbs}",
            f"archive = {every}",
            'move_to = ["self", "VIEWER"]',
        ]
        if title in peers:
            lines.append(f'address = "{peers[title]}"')
        if title == Title.MODALITY:
            # Deflated is off unless it is written, and a peer that writes one syntax must write all of its syntaxes.
            lines.append(f"transfer_syntaxes = {sorted({kind.transfer_syntax_uid for kind in KINDS})}")
        tables.append("\n".join(lines))
    # Python's way of writing a list of plain words is TOML's too, but for the quotes.
    return "\n\n".join(tables).replace("'", '"') + "\n"
