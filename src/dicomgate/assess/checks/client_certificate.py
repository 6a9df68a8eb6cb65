"""The shared probe of TLS-06, TLS-07 and TLS-08: an association that shows a certificate; only that differs."""

from dicomgate.assess.dialogue import Accepted, Answer, Rejected
from dicomgate.assess.line import KeyPair, Tls
from dicomgate.assess.model import Judgement, SkipReason, inconclusive, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.proposal import CALLING, Proposal


def show(prober: Prober, pair: KeyPair, calling: str = CALLING) -> Answer | Judgement:
    """The answer to who shows this certificate; a judgement where no certificate is needed anyway."""
    if prober.entry is None:
        return skipped(SkipReason.NOT_APPLICABLE, "The target does not speak TLS")
    without = prober.ask(Proposal(calling=calling))
    if isinstance(without, Accepted) and not prober.rehearsal:
        return skipped(SkipReason.NOT_APPLICABLE, "It accepts without any client certificate (TLS-05)")
    try:
        with prober.association(Proposal(calling=calling), tls=Tls(pair)) as (answer, _):
            pass
    except OSError as error:
        # ssl says so with an OSError of its own: the file is missing, no PEM, or the key belongs to another.
        return inconclusive(f"The client certificate cannot be used: {error.strerror or 'no certificate and key'}")
    if isinstance(without, Rejected) and str(answer) == str(without):
        why = f"With and without a certificate it is {without}, so this says nothing about certificates"
        return skipped(SkipReason.REFUSED_BEFORE, why)
    return answer
