"""D02: one address tries called AE titles."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, starts


class CalledTitles(CountingDetector):
    id = "D02"
    title = "called AE titles tried"
    severity = Severity.HIGH
    technique = "T1087"
    events = (Event.ASSOCIATION_REFUSED,)
    threshold = 4
    unit = "different called AE titles"
    window = 10 * MINUTE
    action = Rung.BAN
    false_positives = "a router set up with several wrong titles"
    signal = Signal(events, conditions=(starts("status", "1/"),), distinct="called_ae_title")
    says = "{key} was refused with {count} different called AE titles within {minutes} min"
