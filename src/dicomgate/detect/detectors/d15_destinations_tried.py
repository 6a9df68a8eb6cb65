"""D15: somebody tries move destinations."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, equals


class DestinationsTried(CountingDetector):
    id = "D15"
    title = "unknown move destinations"
    severity = Severity.HIGH
    technique = "T1018"
    events = (Event.OPERATION, Event.OPERATION_REFUSED)
    threshold = 3
    unit = "C-MOVEs answered with A801H"
    window = 10 * MINUTE
    action = Rung.REFUSE
    false_positives = "a wrong destination in a viewer's settings"
    signal = Signal(events, conditions=(equals("status", "A801"),))
    says = "{key} named {count} move destinations that nobody knows within {minutes} min"
