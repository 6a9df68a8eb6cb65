"""D27: a PDU declares a length beyond every limit."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, contains, equals


class LengthLie(CountingDetector):
    id = "D27"
    title = "declared length above the limit"
    severity = Severity.HIGH
    technique = "T1499.004"
    events = (Event.CONNECTION_REFUSED, Event.ASSOCIATION_REFUSED, Event.ASSOCIATION_ENDED)
    action = Rung.BAN
    duration = 10 * MINUTE
    false_positives = "a device that ignores the maximum length it was told; something that is no DICOM at all"
    signal = Signal(
        events,
        conditions=(equals("rule", "malformed"), contains("reason", "more than the limit of")),
        exceptions=(equals("detail.ended_by", "acceptor"),),
    )
    says = "{key} declared a PDU longer than the limit"
