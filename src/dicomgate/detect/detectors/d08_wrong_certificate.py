"""D08: somebody claims a title that is bound to another certificate."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, ends


class WrongCertificate(CountingDetector):
    id = "D08"
    title = "AE title claimed without the certificate it is bound to"
    severity = Severity.HIGH
    technique = "T1078"
    events = (Event.ASSOCIATION_REFUSED,)
    action = Rung.REFUSE
    false_positives = "a certificate renewed with a new key or name, before `certificates` was changed"
    signal = Signal(events, conditions=(ends("rule", "].certificates"),))
    says = "{key} claimed an AE title that is bound to a certificate it did not show"
