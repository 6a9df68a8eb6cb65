"""One C-STORE towards an archive with a tamper alarm: what passes, what is known of its instance, and what follows."""

from dataclasses import dataclass
from typing import assert_never

from dicomgate.audit.instance import Content, Instance, Version
from dicomgate.policy.model import Tamper, Verb
from dicomgate.policy.verdict import Deny
from dicomgate.session.data_set import DataSetHead
from dicomgate.session.digest import DataSetDigest
from dicomgate.session.events import NotRecalled, Recalled
from dicomgate.session.under_way import UnderWay
from dicomgate.wire.codes import Status

_POSES = "its data set does not say, at its beginning, that it is the SOP instance that the command names"


@dataclass(slots=True)
class Inspection:
    """`tamper` is never OFF; `corrections`: the peer may replace content; `whole`: the archive hears nothing before.

    `version` and `content` are set once the data set has ended and the answer has come.
    """

    instance: Instance
    transfer_syntax: str
    tamper: Tamper
    corrections: bool
    digest: DataSetDigest
    head: DataSetHead
    whole: bool = False
    passed_on: bool = True
    """The archive has heard of the request."""
    answer: Recalled | NotRecalled | None = None
    version: Version | None = None
    content: Content | None = None
    known: Version | None = None
    entered: bool = True
    """Counted as under way."""
    let_through: bool = False

    def judge(self, under_way: UnderWay) -> Deny | None:
        """The whole data set has been seen, and the answer is here: why it is to be refused, or None."""
        self.version = version = Version(self.transfer_syntax, self.digest.sha256)
        rule = f"archive[{self.instance.archive}].tamper"
        on_disk, silent = self._answered()
        self.known = known = under_way.known(self.instance, on_disk)
        if self.head.sop_instance_uid != self.instance.sop_instance_uid:
            # Many archives go by the data set: whoever could write another name there would get around all of this.
            self.content = Content.CHANGED
            return Deny(rule, _POSES, Status.NOT_AUTHORIZED, Verb.STORE)
        if known == version:
            self.content = Content.SAME
        elif known is not None and not self.corrections:
            self.content = Content.CHANGED
            what = "pixels or text" if known.transfer_syntax == version.transfer_syntax else "its transfer syntax"
            return Deny(
                rule, f"this SOP instance is stored with other content ({what})", Status.NOT_AUTHORIZED, Verb.STORE
            )
        elif known is not None:
            self.content = Content.CORRECTION
        elif silent is not None:
            self.content = Content.UNKNOWN
            if silent.refuse and self.tamper is Tamper.REFUSE:
                why = f"what is stored of this SOP instance cannot be asked: {silent.why}"
                return Deny("audit.on_failure", why, Status.OUT_OF_RESOURCES, Verb.STORE)
        else:
            self.content = Content.FIRST
        return None

    def _answered(self) -> tuple[Version | None, NotRecalled | None]:
        match self.answer:
            case Recalled(known=known):
                return known, None
            case NotRecalled():
                return None, self.answer
            case None:
                raise RuntimeError("judged without an answer")
            case _:
                assert_never(self.answer)
