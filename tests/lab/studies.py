"""Synthetic data sets. In: a folder; out: DICOM files of several SOP classes and transfer syntaxes, always the same.

Nothing here stems from a patient. Compressed frames have the markers of their code and arbitrary bytes between them:
whoever relays or stores them unread must not care.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom import Sequence as DicomSequence
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

PREAMBLE = 132
"""Bytes before the file meta information: 128 of preamble and `DICM` (PS3.10 7.1)."""
COPY_BYTES = 1024 * 1024


def uid(*parts: object) -> str:
    """A UID below 2.25 (PS3.5 B.2), the same for the same parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"


@dataclass(frozen=True, slots=True)
class Instance:
    """One file and what a peer needs to know of it without reading it."""

    name: str
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str

    def data_set(self) -> bytes:
        """The encoded data set, without the file meta information."""
        return data_set_of(self.path)


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of object: its name in tests, its SOP class, and how it is encoded."""

    name: str
    sop_class_uid: str
    transfer_syntax_uid: str
    frames: int = 1


KINDS: tuple[Kind, ...] = (
    Kind("ct-implicit", CTImageStorage, ImplicitVRLittleEndian),
    Kind("ct-explicit", CTImageStorage, ExplicitVRLittleEndian),
    Kind("mr-explicit", MRImageStorage, ExplicitVRLittleEndian),
    Kind("sc-implicit", SecondaryCaptureImageStorage, ImplicitVRLittleEndian),
    Kind("enhanced-ct", EnhancedCTImageStorage, ExplicitVRLittleEndian, frames=12),
    Kind("ct-jpeg2000", CTImageStorage, JPEG2000Lossless),
    Kind("ct-jpegls", CTImageStorage, JPEGLSLossless),
    Kind("mr-rle", MRImageStorage, RLELossless),
    Kind("enhanced-ct-jpeg2000", EnhancedCTImageStorage, JPEG2000Lossless, frames=5),
    Kind("sc-deflated", SecondaryCaptureImageStorage, DeflatedExplicitVRLittleEndian),
)

EXPLICIT = tuple(kind for kind in KINDS if kind.transfer_syntax_uid == ExplicitVRLittleEndian)
"""Query/retrieve archives send these back as they got them; implicit ones they may convert."""


def instance(folder: Path, kind: Kind, study: str, number: int = 1, rows: int = 64) -> Instance:
    """Write one object of a kind into `folder`. The same study text gives the same study, everywhere."""
    data_set = _data_set(kind, study, number, rows)
    path = folder / f"{kind.name}-{hashlib.sha256(study.encode()).hexdigest()[:8]}-{number}.dcm"
    folder.mkdir(parents=True, exist_ok=True)
    data_set.save_as(path, enforce_file_format=True)
    return _described(kind.name, path, data_set)


def study(
    folder: Path, name: str, count: int = 4, kinds: Sequence[Kind] = KINDS[1:2], rows: int = 64
) -> list[Instance]:
    """Write a study of `count` objects, going round the kinds."""
    return [instance(folder, kinds[number % len(kinds)], name, number + 1, rows) for number in range(count)]


def large_multiframe(path: Path, name: str, size: int) -> Instance:
    """Write a multi-frame object with at least `size` bytes of pixel data, without ever holding it in memory."""
    kind = Kind("large", MultiFrameGrayscaleWordSecondaryCaptureImageStorage, ExplicitVRLittleEndian)
    rows = 512
    frame = rows * rows * 2
    data_set = _data_set(kind, name, 1, rows)
    data_set.NumberOfFrames = frames = -(-size // frame)
    data_set.FrameIncrementPointer = 0x00181063
    data_set.FrameTime = 40
    del data_set.PixelData
    data_set.save_as(path, enforce_file_format=True)
    pattern = _bytes(name, frame - 4)
    with path.open("ab") as file:
        # (7FE0,0010) OW with a 32-bit length: PS3.5 7.1.2. It is the last element, so it can be appended.
        file.write(struct.pack("<HH2s2xL", 0x7FE0, 0x0010, b"OW", frame * frames))
        for number in range(frames):
            # Every frame differs, so that a lost, doubled or swapped piece cannot go unseen.
            file.write(struct.pack("<L", number))
            file.write(pattern)
    return _described(kind.name, path, data_set)


def data_set_of(path: Path) -> bytes:
    """The bytes of a file behind its file meta information."""
    with path.open("rb") as file:
        file.seek(data_set_offset(path))
        return file.read()


def data_set_digest(path: Path) -> tuple[int, str]:
    """Length and SHA-256 of what data_set_of returns, for files that do not fit in memory."""
    digest, length = hashlib.sha256(), 0
    with path.open("rb") as file:
        file.seek(data_set_offset(path))
        while piece := file.read(COPY_BYTES):
            digest.update(piece)
            length += len(piece)
    return length, digest.hexdigest()


def data_set_offset(path: Path) -> int:
    """Where the data set begins. ValueError if the file does not open with (0002,0000) (PS3.10 7.1)."""
    with path.open("rb") as file:
        head = file.read(PREAMBLE + 12)
    if head[128:132] != b"DICM" or head[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise ValueError(f"{path.name}: expected a file meta group length behind DICM")
    return PREAMBLE + 12 + int.from_bytes(head[140:144], "little")


def files_by_sop_instance(folder: Path, uids: Iterable[str]) -> dict[str, Path]:
    """Find files below `folder` whose data set names one of these SOP instances, whatever the files are called."""
    wanted = {uid.encode(): uid for uid in uids}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(4096)
            found.update({text: path for needle, text in wanted.items() if needle in head})
    return found


def worklist_dump(number: int) -> str:
    """One modality worklist item in the syntax that dump2dcm reads (PS3.4 table K.6-1)."""
    return "\n".join(
        [
            "(0008,0005) CS [ISO_IR 192]",
            f"(0008,0050) SH [ACC{number:05d}]",
            f"(0010,0010) PN [SYNTHETIC^WORKLIST{number:02d}]",
            f"(0010,0020) LO [WL{number:05d}]",
            "(0010,0030) DA [19700101]",
            "(0010,0040) CS [O]",
            f"(0020,000d) UI [{uid('worklist', number)}]",
            "(0032,1060) LO [CT CHEST]",
            f"(0040,1001) SH [RP{number}]",
            "(0040,0100) SQ",
            "(fffe,e000) -",
            f"(0008,0060) CS [{'CT' if number % 2 else 'MR'}]",
            "(0040,0001) AE [CT1]",
            "(0040,0002) DA [20260101]",
            "(0040,0003) TM [080000]",
            f"(0040,0009) SH [SPS{number}]",
            "(fffe,e00d) -",
            "(fffe,e0dd) -",
            "",
        ]
    )


def _described(name: str, path: Path, data_set: Dataset) -> Instance:
    return Instance(
        name,
        path,
        str(data_set.SOPClassUID),
        str(data_set.SOPInstanceUID),
        str(data_set.StudyInstanceUID),
        str(data_set.SeriesInstanceUID),
        str(data_set.file_meta.TransferSyntaxUID),
    )


def _data_set(kind: Kind, study: str, number: int, rows: int) -> Dataset:
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.SOPClassUID = kind.sop_class_uid
    data_set.SOPInstanceUID = uid("instance", study, kind.name, number)
    data_set.StudyDate, data_set.StudyTime = "20260101", "101500"
    data_set.AccessionNumber = "A" + uid("accession", study)[-12:]
    data_set.Modality = {CTImageStorage: "CT", EnhancedCTImageStorage: "CT", MRImageStorage: "MR"}.get(
        kind.sop_class_uid, "OT"
    )
    data_set.StudyDescription = "SYNTHETIC"
    data_set.PatientName = "SYNTHETIC^Pätient"
    data_set.PatientID = "P" + uid("patient", study)[-12:]
    data_set.PatientBirthDate, data_set.PatientSex = "19700101", "O"
    data_set.StudyInstanceUID = uid("study", study)
    data_set.SeriesInstanceUID = uid("series", study, kind.name)
    data_set.StudyID, data_set.SeriesNumber, data_set.InstanceNumber = "1", 1, number
    _describe_pixels(data_set, kind, rows)
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = kind.transfer_syntax_uid
    return data_set


def _describe_pixels(data_set: Dataset, kind: Kind, rows: int) -> None:
    colour = kind.sop_class_uid == SecondaryCaptureImageStorage
    data_set.SamplesPerPixel = 3 if colour else 1
    data_set.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data_set.PlanarConfiguration = 0
        data_set.ConversionType = "SYN"
    data_set.Rows = data_set.Columns = rows
    bits = 8 if colour else 16
    data_set.BitsAllocated = data_set.BitsStored = bits
    data_set.HighBit, data_set.PixelRepresentation = bits - 1, 0
    if kind.sop_class_uid == EnhancedCTImageStorage:
        _describe_frames(data_set, kind.frames)
    pixels = rows * rows * data_set.SamplesPerPixel * bits // 8 * kind.frames
    name = str(data_set.SOPInstanceUID)
    made = {
        JPEG2000Lossless: lambda frame: b"\xff\x4f\xff\x51" + _bytes(f"{name}/{frame}", 1500) + b"\xff\xd9",
        JPEGLSLossless: lambda frame: b"\xff\xd8\xff\xf7" + _bytes(f"{name}/{frame}", 1501) + b"\xff\xd9",
        RLELossless: lambda frame: _rle(_bytes(f"{name}/{frame}", rows * rows * 2)),
    }.get(kind.transfer_syntax_uid)
    if made:
        data_set.PixelData = encapsulate([made(frame) for frame in range(kind.frames)])
        data_set["PixelData"].VR = "OB"
        data_set["PixelData"].is_undefined_length = True
    else:
        data_set.PixelData = _bytes(name, pixels)
        data_set["PixelData"].VR = "OB" if colour and not _is_implicit(kind) else "OW"


def _describe_frames(data_set: Dataset, frames: int) -> None:
    """Nested sequences, as every enhanced object has them (PS3.3 C.7.6.16)."""
    data_set.NumberOfFrames = frames
    spacing = Dataset()
    spacing.SliceThickness, spacing.PixelSpacing = "1.5", ["0.7", "0.7"]
    shared = Dataset()
    shared.PixelMeasuresSequence = DicomSequence([spacing])
    data_set.SharedFunctionalGroupsSequence = DicomSequence([shared])
    groups = []
    for number in range(frames):
        position = Dataset()
        position.ImagePositionPatient = ["0", "0", str(number * 1.5)]
        group = Dataset()
        group.PlanePositionSequence = DicomSequence([position])
        groups.append(group)
    data_set.PerFrameFunctionalGroupsSequence = DicomSequence(groups)


def _is_implicit(kind: Kind) -> bool:
    return bool(kind.transfer_syntax_uid == ImplicitVRLittleEndian)


def _rle(pixels: bytes) -> bytes:
    """Two byte planes as literal runs only, behind the 64-byte header (PS3.5 G.3 to G.5)."""
    segments = []
    for plane in (pixels[1::2], pixels[0::2]):
        runs = b"".join(bytes([len(run) - 1]) + run for run in (plane[i : i + 128] for i in range(0, len(plane), 128)))
        segments.append(runs + b"\0" * (len(runs) % 2))
    header = struct.pack("<16L", 2, 64, 64 + len(segments[0]), *[0] * 13)
    return header + b"".join(segments)


def _bytes(seed: str, count: int) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(count)
