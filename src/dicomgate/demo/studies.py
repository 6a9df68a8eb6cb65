"""Synthetic studies, made in memory, the same on every run: nothing in, data sets with their file meta out."""

import sys
from array import array
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

SIDE = 64
"""Rows and columns of every image: small, so that the demo shows rules and not bandwidth."""

SOP_CLASSES = (CTImageStorage, MRImageStorage)
"""The storage SOP classes that occur in the demo."""


@dataclass(frozen=True, slots=True)
class _Study:
    patient_name: str
    patient_id: str
    modality: str
    date: str
    description: str
    images: int


_ARCHIVED = (
    _Study("DEMO^ANNA", "DEMO-0001", "CT", "20260301", "Synthetic chest", 4),
    _Study("DEMO^ANNA", "DEMO-0001", "MR", "20260302", "Synthetic head", 2),
    _Study("DEMO^BERT", "DEMO-0002", "CT", "20260415", "Synthetic abdomen", 3),
    _Study("PHANTOM^ONE", "DEMO-0003", "MR", "20260520", "Synthetic knee", 2),
)
_NEW = _Study("DEMO^CLARA", "DEMO-0004", "CT", "20260601", "Synthetic new arrival", 3)


def archived_studies() -> list[Dataset]:
    """What the archive holds when the demo begins: four studies of three invented patients, eleven images."""
    return [_image(study, number) for study in _ARCHIVED for number in range(1, study.images + 1)]


def new_study() -> list[Dataset]:
    """Three CT images that the archive does not have yet, for the clients that store."""
    return [_image(_NEW, number) for number in range(1, _NEW.images + 1)]


def uid(*parts: object) -> str:
    """A UID that depends on `parts` alone (PS3.5 B.2: `2.25.` and a UUID as one integer)."""
    return f"2.25.{uuid5(NAMESPACE_OID, '/'.join(('dicomgate demo', *map(str, parts)))).int}"


def _image(study: _Study, number: int) -> Dataset:
    key = (study.patient_id, study.modality, study.date)
    image = Dataset()
    image.SOPClassUID = CTImageStorage if study.modality == "CT" else MRImageStorage
    image.SOPInstanceUID = uid(*key, number)
    image.StudyDate = image.SeriesDate = image.ContentDate = study.date
    image.StudyTime = image.SeriesTime = image.ContentTime = "103000"
    image.AccessionNumber = f"ACC{study.date}"
    image.Modality = study.modality
    image.Manufacturer = "dicomgate demo"
    image.ReferringPhysicianName = "DEMO^REFERRER"
    image.StudyDescription = study.description
    image.SeriesDescription = f"{study.description} {study.modality}"
    image.PatientName = study.patient_name
    image.PatientID = study.patient_id
    image.PatientBirthDate = "19700101"
    image.PatientSex = "O"
    image.StudyInstanceUID = uid(*key, "study")
    image.SeriesInstanceUID = uid(*key, "series")
    image.StudyID = study.date[4:]
    image.SeriesNumber = 1
    image.InstanceNumber = number
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows = image.Columns = SIDE
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.add_new("PixelData", "OW", _rings(number))  # otherwise it would stay "OB or OW" and equal no copy
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _rings(number: int) -> bytes:
    """Concentric rings, one pattern per image number: 16 bit, little endian."""
    middle = SIDE // 2
    pixels = array(
        "H",
        (
            ((column - middle) ** 2 + (row - middle) ** 2) * number % 4096
            for row in range(SIDE)
            for column in range(SIDE)
        ),
    )
    if sys.byteorder == "big":
        pixels.byteswap()
    return pixels.tobytes()
