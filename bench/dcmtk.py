"""Stock DCMTK as load and as archive. In: how many images or echoes; out: command lines, wall seconds."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from bench.process import LOOPBACK, Address, MeasurementError, Program, free_port
from bench.wire import CALLED, CALLING, UID_ROOT

# The full path: pynetdicom installs scripts of the same names, and they do not stall.
BIN = Path("/usr/bin")
ROWS = 512
Command = tuple[str, ...]


def _program(name: str) -> str:
    path = BIN / name
    if not path.exists():
        raise MeasurementError(f"DCMTK is not installed: {path} is missing")
    return str(path)


@contextmanager
def storescp(room: Path) -> Iterator[Address]:
    """A storescp that receives and throws away, so that no disk is measured; where it listens."""
    room.mkdir(parents=True)
    address = (LOOPBACK, free_port())
    program = Program("storescp", (_program("storescp"), "--ignore", "-aet", CALLED, str(address[1])), room)
    try:
        program.accepts(address)
        yield address
    finally:
        program.stop()


def store_command(directory: Path, images: int) -> Command:
    """storescu with `images` CT images of 0.5 MB, written to `directory` first."""
    write_images(directory, images)
    return (_program("storescu"), "-aet", CALLING, "-aec", CALLED, "+sd", "HOST", "PORT", str(directory))


def echo_command(echoes: int) -> Command:
    return (_program("echoscu"), "-aet", CALLING, "-aec", CALLED, "--repeat", str(echoes), "HOST", "PORT")


def encrypted(command: Command) -> Command:
    """The same over TLS, without a certificate of its own and without a look at the other side's."""
    return (command[0], "+tla", "-ic", *command[1:])


def run(command: Command, address: Address) -> float:
    """Wall seconds of one run against `address`; MeasurementError unless it ends well."""
    host, port = address
    filled = [host if word == "HOST" else str(port) if word == "PORT" else word for word in command]
    begin = time.monotonic()
    try:
        ended = subprocess.run(filled, capture_output=True, timeout=300, text=True, check=False)
    except subprocess.TimeoutExpired as late:
        raise MeasurementError(f"{command[0]} did not end within 300 s") from late
    seconds = time.monotonic() - begin
    # storescu ends 0 although an object was refused; what it says of that begins with W: or E:.
    said = (ended.stderr + ended.stdout).strip()
    if ended.returncode or said:
        raise MeasurementError(f"{command[0]} ended with {ended.returncode}: {said[:300]}")
    return seconds


def write_images(directory: Path, images: int) -> None:
    """Deterministic synthetic CT images, 512 x 512 of 16 bit, Explicit VR Little Endian."""
    directory.mkdir(parents=True)
    pixels = bytes(range(256)) * (ROWS * ROWS * 2 // 256)
    for number in range(1, images + 1):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = f"{UID_ROOT}.3.{number}"
        image.StudyInstanceUID, image.SeriesInstanceUID = f"{UID_ROOT}.1", f"{UID_ROOT}.2"
        image.Modality, image.PatientID, image.PatientName = "CT", "BENCH", "BENCH"
        image.InstanceNumber = number
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Rows = image.Columns = ROWS
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.PixelData = pixels
        dcmwrite(directory / f"{number:04d}.dcm", image, enforce_file_format=True)
