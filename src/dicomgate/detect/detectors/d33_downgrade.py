"""D33: plaintext on a TLS listener, or a TLS that is no longer spoken."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, contains, ends


class Downgrade(CountingDetector):
    id = "D33"
    title = "plaintext or outdated TLS"
    severity = Severity.MEDIUM
    technique = "T1557"
    events = (Event.CONNECTION_REFUSED,)
    false_positives = "a client that is not set up for TLS yet"
    signal = Signal(
        events,
        conditions=(
            ends("rule", "].tls"),
            contains("reason", "plaintext DICOM", "unsupported protocol", "version too low", "wrong version number"),
        ),
    )
    says = "{key} spoke plaintext or an outdated TLS to a TLS listener"
    action = Rung.ALERT
