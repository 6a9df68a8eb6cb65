"""D04: one user's proof of identity fails again and again."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, equals


class UserFailures(CountingDetector):
    """An answer goes to the address, never to the user: anybody can fail in a doctor's name."""

    id = "D04"
    title = "one user's identity refused"
    severity = Severity.HIGH
    technique = "T1110.001"
    events = (Event.IDENTITY_REFUSED,)
    threshold = 5
    unit = "failures"
    window = 10 * MINUTE
    action = Rung.REFUSE
    duration = 15 * MINUTE
    false_positives = "a service whose stored passcode has expired"
    signal = Signal(events, exceptions=(equals("detail.cause", "not_mine", "unavailable"),), group_by="user")
    says = "the identity of user {key} was refused {count} times within {minutes} min"
