"""Orthanc as archive, or pynetdicom where it is missing. In: a directory; out: name, address, how to empty it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from bench.process import LOOPBACK, Address, Load, Program, free_port
from bench.wire import CALLED

ORTHANC = Path("/usr/sbin/Orthanc")
Receiver = tuple[str, Address, Callable[[], None]]


@contextmanager
def receiver(room: Path) -> Iterator[Receiver]:
    """Start one: what it is, where it listens, and a function that makes it forget what it has stored."""
    if not ORTHANC.exists():
        with Load("pynetdicom_store", "receive") as load:
            yield "pynetdicom", (LOOPBACK, load.report(30)["port"]), lambda: None
        return
    room.mkdir(parents=True)
    dicom, http = free_port(), free_port()
    configuration = room / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "StorageDirectory": str(room / "storage"),
                "IndexDirectory": str(room / "storage"),
                "TemporaryDirectory": str(room),
                "Plugins": [],
                "HttpPort": http,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomAet": CALLED,
                "DicomPort": dicom,
                "DicomCheckCalledAet": True,
                "DicomAlwaysAllowStore": True,
                "SyncStorageArea": False,
                "SaveJobs": False,
            }
        )
    )
    program = Program("orthanc", (str(ORTHANC), str(configuration)), room)
    try:
        program.accepts((LOOPBACK, http), 60)
        program.accepts((LOOPBACK, dicom), 60)
        yield "Orthanc", (LOOPBACK, dicom), lambda: _forget(f"http://{LOOPBACK}:{http}")
    finally:
        program.stop()


def _forget(orthanc: str) -> None:
    """Delete all patients, so that each round stores new objects instead of meeting the last round's."""
    with urlopen(f"{orthanc}/patients", timeout=60) as answer:  # noqa: S310
        patients = json.load(answer)
    for patient in patients:
        urlopen(Request(f"{orthanc}/patients/{patient}", method="DELETE"), timeout=60).close()  # noqa: S310
