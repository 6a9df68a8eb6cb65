"""D26: one address leaves the protocol again and again."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, contains, equals


class Malformed(CountingDetector):
    id = "D26"
    title = "malformed PDUs or messages"
    severity = Severity.MEDIUM
    technique = "T1190"
    events = (Event.CONNECTION_REFUSED, Event.ASSOCIATION_REFUSED, Event.ASSOCIATION_ENDED, Event.OPERATION_REFUSED)
    threshold = 3
    unit = "violations"
    window = 10 * MINUTE
    action = Rung.DELAY
    duration = 15 * MINUTE
    false_positives = "an old device with a quirk; a health check that talks to the port"
    signal = Signal(
        events,
        conditions=(equals("rule", "malformed"),),
        exceptions=(equals("detail.ended_by", "acceptor"), contains("reason", "left amid")),
    )
    says = "{key} sent what is no DICOM {count} times within {minutes} min"
