"""D39: a tunnel to another site has gone down."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import NOTHING, Detector
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind, shown


class ChannelDown(Detector):
    """Whatever needs the channel is refused until it is back. A cut line, or somebody who wants you to do without it.

    Nobody is answered: there is nobody to answer. The record `channel_up` says when it is over.
    """

    id = "D39"
    title = "a channel to another site is down"
    severity = Severity.HIGH
    technique = "T1498"
    events = (Event.CHANNEL_DOWN,)
    false_positives = "maintenance of the line or of the other end; a gate that starts before its tunnel"

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        name = record.detail.get("channel")
        if not name:
            return NOTHING
        text = f"channel {shown(str(name))} is down: {shown(record.reason or 'nothing was said', 200)}"
        return (self.finding(record, Subject(SubjectKind.CHANNEL, str(name)), text),)
