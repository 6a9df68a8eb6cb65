"""The story: what each client tries, what it must be told, and what the archive may see of it.

A `Stage` comes in; chapters of steps go out. Nothing runs here; scenario.py plays them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import shake_128
from pathlib import Path

from dicomgate.demo import clients, dcmtk, packets
from dicomgate.demo.answers import Aborted, Answered, Answers, Closed, ContextRefused, Rejected
from dicomgate.demo.clients import Call
from dicomgate.demo.stage import OTHER_LOOPBACK, Stage
from dicomgate.demo.studies import SOP_CLASSES, new_study, uid
from dicomgate.wire.codes import ContextResult, Reject, Status

PYNETDICOM = "pynetdicom"
SOCKET = "bare socket"

CHEST_CT = uid("DEMO-0001", "CT", "20260301", "study")
CHEST_CT_IMAGES = 4
STUDIES_OF_DEMO_PATIENTS = 3
"""The archive's studies that match DEMO*, before anything is stored."""

ENDED_WITHOUT_AN_ASSOCIATION: tuple[Answers, ...] = ((Aborted(),), (Closed(),))


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a client tries.

    `expected`: any one of these, whole. `caller`: the calling AE title under which the archive must see exactly
    one association, with exactly the `operations`; None means that it must not even see a TCP connection.
    `refused`: whether the gate must have recorded a refusal. `explained`: show what `dicomgate explain` says of it.
    `cannot_run`: why it cannot be run here, or None.
    """

    title: str
    client: str
    act: Callable[[], Answers]
    expected: tuple[Answers, ...]
    caller: str | None = None
    operations: tuple[str, ...] = ()
    refused: bool = True
    explained: bool = False
    cannot_run: str | None = None


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    steps: tuple[Step, ...]


def chapters(stage: Stage) -> tuple[Chapter, ...]:
    """The whole story, in order; later steps rely on what earlier ones stored."""
    return (
        Chapter("What the policy allows", (*_allowed(stage), *_allowed_with_dcmtk(stage))),
        Chapter("Refused at the door", _refused_at_the_door(stage)),
        Chapter("Refused inside an association", _refused_inside(stage)),
        Chapter("Not DICOM at all", _not_dicom(stage)),
    )


def _allowed(stage: Stage) -> tuple[Step, ...]:
    ct1 = Call(stage.ports["inside"], "CT1", "ARCHIVE")
    reader = Call(stage.ports["outside"], "READER1", "ARCHIVE")
    viewer = Call(stage.ports["outside"], "VIEWER", "ARCHIVE")
    stored = new_study()[:2]
    originals = stage.archive.images
    return (
        Step(
            "CT1 asks whether the archive is there",
            PYNETDICOM,
            lambda: clients.echo(ct1),
            ((Answered("C-ECHO", Status.SUCCESS),),),
            "CT1",
            ("C-ECHO",),
            refused=False,
        ),
        Step(
            "VIEWER looks for studies of DEMO*",
            PYNETDICOM,
            lambda: clients.find(viewer, "DEMO*"),
            ((Answered("C-FIND", Status.SUCCESS, matches=STUDIES_OF_DEMO_PATIENTS),),),
            "VIEWER",
            ("C-FIND",),
            refused=False,
        ),
        Step(
            "CT1 stores two images of a new study",
            PYNETDICOM,
            lambda: clients.store(ct1, stored),
            ((Answered("C-STORE", Status.SUCCESS),),),
            "CT1",
            ("C-STORE", "C-STORE"),
            refused=False,
        ),
        Step(
            "READER1 fetches a study over its own association",
            PYNETDICOM,
            lambda: clients.get(reader, CHEST_CT, originals),
            ((Answered("C-GET", Status.SUCCESS, images=CHEST_CT_IMAGES),),),
            "READER1",
            ("C-GET",),
            refused=False,
        ),
        Step(
            "READER1 has a study sent to itself, back through the gate",
            PYNETDICOM,
            lambda: clients.move(reader, CHEST_CT, "READER1", stage.receiver, originals),
            ((Answered("C-MOVE", Status.SUCCESS, images=CHEST_CT_IMAGES),),),
            "READER1",
            ("C-MOVE",),
            refused=False,
        ),
    )


def _allowed_with_dcmtk(stage: Stage) -> tuple[Step, ...]:
    ct1 = Call(stage.ports["inside"], "CT1", "ARCHIVE")
    reader = Call(stage.ports["outside"], "READER1", "ARCHIVE")
    viewer = Call(stage.ports["outside"], "VIEWER", "ARCHIVE")
    last = new_study()[2]
    file, fetched = stage.folder / "new.dcm", stage.folder / "fetched"
    last.save_as(file, enforce_file_format=True)
    fetched.mkdir()
    originals = stage.archive.images
    return (
        _dcmtk_step(
            "echoscu",
            "CT1 asks again",
            lambda echoscu: dcmtk.echo(echoscu, ct1),
            Answered("C-ECHO", Status.SUCCESS),
            "CT1",
        ),
        _dcmtk_step(
            "storescu",
            "CT1 stores a third image",
            lambda storescu: dcmtk.store(storescu, ct1, [file]),
            Answered("C-STORE", Status.SUCCESS),
            "CT1",
        ),
        _dcmtk_step(
            "findscu",
            "VIEWER looks for DEMO^ANNA",
            lambda findscu: dcmtk.find(findscu, viewer, "DEMO^ANNA"),
            Answered("C-FIND", Status.SUCCESS, matches=2),
            "VIEWER",
        ),
        _dcmtk_step(
            "getscu",
            "READER1 fetches a study",
            lambda getscu: dcmtk.get(getscu, reader, CHEST_CT, fetched, originals),
            Answered("C-GET", Status.SUCCESS, images=CHEST_CT_IMAGES),
            "READER1",
        ),
    )


def _dcmtk_step(
    name: str, title: str, act: Callable[[Path], Answers], expected: Answered | Rejected, caller: str | None = None
) -> Step:
    """A step with one of DCMTK's programs; `act` is given its path, and is never called where it is missing."""
    found = dcmtk.program(name)
    return Step(
        title,
        f"DCMTK {name}",
        lambda: act(found or Path(name)),
        ((expected,),),
        caller,
        (expected.command,) if isinstance(expected, Answered) else (),
        refused=isinstance(expected, Rejected),
        cannot_run=None if found else f"DCMTK's {name} is not installed",
    )


def _refused_at_the_door(stage: Stage) -> tuple[Step, ...]:
    outside, inside = stage.ports["outside"], stage.ports["inside"]
    unknown_caller: tuple[Answers, ...] = ((Rejected(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),),)
    unknown_called: tuple[Answers, ...] = ((Rejected(Reject.CALLED_AE_TITLE_NOT_RECOGNIZED),),)
    nothing_left: tuple[Answers, ...] = ((Rejected(Reject.NO_REASON),),)
    one_address = None if stage.two_source_addresses else f"this machine cannot call from {OTHER_LOOPBACK}"
    return (
        Step(
            "A stranger, EVIL, looks for all studies",
            PYNETDICOM,
            lambda: clients.find(Call(outside, "EVIL", "ARCHIVE"), "*"),
            unknown_caller,
        ),
        _dcmtk_step(
            "echoscu",
            "EVIL tries a C-ECHO",
            lambda echoscu: dcmtk.echo(echoscu, Call(outside, "EVIL", "ARCHIVE")),
            Rejected(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),
        ),
        Step(
            "Somebody outside types CT1 as the name",
            PYNETDICOM,
            lambda: clients.store(Call(outside, "CT1", "ARCHIVE"), new_study()),
            unknown_caller,
            explained=True,
        ),
        Step(
            "Somebody types CT2, but calls from another address",
            PYNETDICOM,
            lambda: clients.echo(Call(outside, "CT2", "ARCHIVE")),
            unknown_caller,
        ),
        Step(
            f"READER1 calls from {OTHER_LOOPBACK}",
            PYNETDICOM,
            lambda: clients.find(Call(outside, "READER1", "ARCHIVE", OTHER_LOOPBACK), "*"),
            unknown_caller,
            cannot_run=one_address,
        ),
        Step(
            f"CT1 calls the inside listener from {OTHER_LOOPBACK}",
            SOCKET,
            lambda: clients.send_bytes(inside, packets.association_request("ARCHIVE", "CT1"), OTHER_LOOPBACK),
            ENDED_WITHOUT_AN_ASSOCIATION,
            cannot_run=one_address,
        ),
        Step(
            "READER1 calls an archive that is not there",
            PYNETDICOM,
            lambda: clients.echo(Call(outside, "READER1", "NOSUCH")),
            unknown_called,
        ),
        Step(
            "EVIL pushes images to READER1 as if it were the archive",
            PYNETDICOM,
            lambda: clients.store(Call(outside, "EVIL", "READER1"), new_study()),
            unknown_caller,
        ),
        Step(
            "VIEWER, who may look, wants to store",
            PYNETDICOM,
            lambda: clients.store(Call(outside, "VIEWER", "ARCHIVE"), new_study()),
            nothing_left,
        ),
        Step(
            "CT1, who may store, wants to search",
            PYNETDICOM,
            lambda: clients.find(Call(inside, "CT1", "ARCHIVE"), "*"),
            nothing_left,
        ),
    )


def _refused_inside(stage: Stage) -> tuple[Step, ...]:
    reader = Call(stage.ports["outside"], "READER1", "ARCHIVE")
    viewer = Call(stage.ports["outside"], "VIEWER", "ARCHIVE")
    originals = stage.archive.images
    forged = new_study()[0]
    forged.SOPInstanceUID = forged.file_meta.MediaStorageSOPInstanceUID = uid("forged")
    return (
        Step(
            "VIEWER proposes storage beside verification",
            PYNETDICOM,
            lambda: clients.echo_and_propose_storage(viewer),
            (
                (
                    ContextRefused(SOP_CLASSES[0].name, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED),
                    Answered("C-ECHO", Status.SUCCESS),
                ),
            ),
            "VIEWER",
            ("C-ECHO",),
        ),
        Step(
            "READER1, who may fetch, stores over the same context",
            PYNETDICOM,
            lambda: clients.store_while_entitled_to_get(reader, forged),
            ((Answered("C-STORE", Status.NOT_AUTHORIZED), Answered("C-ECHO", Status.SUCCESS)),),
            "READER1",
            ("C-ECHO",),
        ),
        Step(
            "READER1 has a study sent to somebody else",
            PYNETDICOM,
            lambda: clients.move(reader, CHEST_CT, "ELSEWHERE", stage.receiver, originals),
            ((Answered("C-MOVE", Status.MOVE_DESTINATION_UNKNOWN),),),
            "READER1",
        ),
    )


def _not_dicom(stage: Stage) -> tuple[Step, ...]:
    outside = stage.ports["outside"]

    def step(title: str, data: bytes) -> Step:
        return Step(title, SOCKET, lambda: clients.send_bytes(outside, data), ENDED_WITHOUT_AN_ASSOCIATION)

    return (
        step("Random bytes", shake_128(b"dicomgate demo").digest(512)),
        step("A web browser", b"GET / HTTP/1.1\r\nHost: archive.example\r\n\r\n"),
        step("An association request that claims 4 GiB", packets.oversized_request()),
        step("A C-ECHO without an association", packets.message_without_association()),
    )
