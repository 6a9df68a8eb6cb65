"""D23: a party asks for what its role does not have."""

from dicomgate.audit.record import Event
from dicomgate.detect.detector import CountingDetector
from dicomgate.detect.model import Rung, Severity
from dicomgate.detect.signal import Signal, ends, equals


class RoleViolation(CountingDetector):
    """The operation was refused already (0124H or its like), so the answer is to tell people."""

    id = "D23"
    title = "operation outside the party's role"
    severity = Severity.HIGH
    technique = "T1199"
    events = (Event.OPERATION, Event.OPERATION_REFUSED)
    action = Rung.ALERT
    false_positives = "a device that combines two, and needs both roles"
    signal = Signal(
        events,
        conditions=(equals("outcome", "refused", "would_refuse"), ends("rule", "].may", "].sop_classes")),
        group_by="peer",
    )
    says = "peer {key} asked for an operation that it may not do"
