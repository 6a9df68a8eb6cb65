"""D03: one address tries calling AE titles."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import MINUTE, CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, starts


class CallingTitles(CountingDetector):
    id = "D03"
    title = "calling AE titles tried"
    severity = Severity.HIGH
    technique = "T1036"
    events = (Event.ASSOCIATION_REFUSED,)
    threshold = 4
    unit = "different calling AE titles"
    window = 10 * MINUTE
    action = Rung.REFUSE
    false_positives = "several devices behind one address (NAT, a broker) that no rule names yet"
    signal = Signal(events, conditions=(starts("status", "1/"),), distinct="calling_ae_title")
    says = "{key} was refused under {count} different calling AE titles within {minutes} min"
