"""D05: one address tries users."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, equals


class UsersTried(CountingDetector):
    id = "D05"
    title = "users tried from one address"
    severity = Severity.HIGH
    technique = "T1110.003"
    events = (Event.IDENTITY_REFUSED,)
    threshold = 5
    unit = "different users"
    window = 30 * MINUTE
    action = Rung.BAN
    false_positives = "a terminal server where many people work, after a directory lost their passcodes"
    signal = Signal(events, exceptions=(equals("detail.cause", "not_mine", "unavailable"),), distinct="user")
    says = "{key} failed to prove {count} different users within {minutes} min"
