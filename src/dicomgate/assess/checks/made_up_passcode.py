"""The shared probe of IDN-02, IDN-03 and IDN-06: one user who does not exist, with a made-up passcode."""

from dataclasses import dataclass

from dicomgate.assess.checks.idn01_not_required import anonymous
from dicomgate.assess.checks.reading import refused_before
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Judgement
from dicomgate.assess.prober import Prober
from dicomgate.assess.proposal import Proposal, made_up_passcode


@dataclass(frozen=True, slots=True)
class Seen:
    without: Answer
    """To the same request without an identity."""
    made_up: Answer
    tls: bool


def probe(prober: Prober) -> Seen | Judgement:
    without = anonymous(prober)
    if (skip := refused_before(without)) is not None:
        return skip
    proposal = prober.keep("made-up", lambda: Proposal(calling=prober.caller, identity=made_up_passcode()))
    return Seen(without, prober.ask(proposal), prober.entry is not None)
