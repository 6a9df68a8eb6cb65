"""D01: one address is refused again and again."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, starts


class Refusals(CountingDetector):
    id = "D01"
    title = "associations refused by the rules"
    severity = Severity.MEDIUM
    technique = "T1110"
    events = (Event.ASSOCIATION_REFUSED,)
    threshold = 10
    unit = "refusals"
    window = 5 * MINUTE
    action = Rung.DELAY
    duration = 15 * MINUTE
    false_positives = "a new device that is being set up; a device whose rule was changed and that keeps trying"
    signal = Signal(events, conditions=(starts("status", "1/"),))  # 2/… is no judgement of who it is
    says = "{count} associations from {key} were refused within {minutes} min"
