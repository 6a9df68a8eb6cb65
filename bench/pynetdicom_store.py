"""Load program: pynetdicom. In: `send HOST PORT OBJECTS MEGABYTES` or `receive`; out: JSON seconds, or its port."""

import json
import sys
import time

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

from bench.process import LOOPBACK, Address
from bench.wire import CALLED, CALLING

SOP_CLASS = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
SIDE = 1024
FRAME = SIDE * SIDE * 2


def image(megabytes: int) -> Dataset:
    """A synthetic multi-frame image of 16 bit of about that size, without a SOP instance UID."""
    frames = max(1, megabytes * 1_000_000 // FRAME)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = SOP_CLASS
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.PatientID, made.PatientName = "OT", "BENCH", "BENCH"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows = made.Columns = SIDE
    made.NumberOfFrames = frames
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = bytes(range(256)) * (frames * FRAME // 256)
    return made


def send(address: Address, objects: int, megabytes: int) -> float:
    """Wall seconds from the association request to its release, `objects` C-STOREs between."""
    data_set = image(megabytes)
    client = AE(CALLING)
    client.add_requested_context(SOP_CLASS, ExplicitVRLittleEndian)
    client.dimse_timeout = client.network_timeout = 120
    begin = time.monotonic()
    association = client.associate(*address, ae_title=CALLED)
    if not association.is_established:
        sys.exit("pynetdicom: no association")
    for number in range(objects):
        data_set.SOPInstanceUID = generate_uid()
        status = association.send_c_store(data_set, msg_id=number + 1)
        if "Status" not in status or status.Status != 0:
            sys.exit(f"pynetdicom: C-STORE {number + 1} was answered with {status.get('Status', 'nothing')}")
    association.release()
    return time.monotonic() - begin


def receive() -> None:
    """A pynetdicom acceptor that throws everything away, until stdin closes."""
    acceptor = AE(CALLED)
    acceptor.supported_contexts = AllStoragePresentationContexts
    running = acceptor.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)])
    print(json.dumps({"port": running.socket.getsockname()[1]}), flush=True)
    sys.stdin.read()
    running.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive()
    else:
        host, *numbers = sys.argv[2:]
        port, count, size = map(int, numbers)
        print(json.dumps({"seconds": send((host, port), count, size)}), flush=True)
