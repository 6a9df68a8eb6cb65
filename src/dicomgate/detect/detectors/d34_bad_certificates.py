"""D34: client certificates that nobody vouches for, or that have ended."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, contains, ends


class BadCertificates(CountingDetector):
    id = "D34"
    title = "client certificates refused"
    severity = Severity.MEDIUM
    technique = "T1078"
    events = (Event.CONNECTION_REFUSED,)
    threshold = 3
    unit = "handshakes"
    window = 10 * MINUTE
    action = Rung.ALERT
    false_positives = "the day on which certificates end"
    signal = Signal(
        events,
        conditions=(ends("rule", "].tls"), contains("reason", "certificate refused", "did not return a certificate")),
    )
    says = "{count} client certificates from {key} were refused within {minutes} min"
