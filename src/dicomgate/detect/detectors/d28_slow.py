"""D28: connections that take for ever to say what they want."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, contains


class Slow(CountingDetector):
    """Each of them was closed already; an answer keeps the next ones out."""

    id = "D28"
    title = "slow or silent connections"
    severity = Severity.MEDIUM
    technique = "T1499.001"
    events = (Event.CONNECTION_REFUSED,)
    threshold = 5
    unit = "connections"
    window = 10 * MINUTE
    action = Rung.REFUSE
    duration = 10 * MINUTE
    false_positives = "a very bad line; a load balancer's check that connects and waits"
    signal = Signal(
        events,
        conditions=(
            contains("reason", "no A-ASSOCIATE-RQ within", "no TLS handshake within", "gave way to a newer", "in time"),
        ),
    )
    says = "{count} connections from {key} were too slow within {minutes} min"
