"""EXP-03: do search engines for open ports know this address? Judged from a lookup that the user has saved."""

from dicomgate.assess.inputs import Indexed
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, failed, passed, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure


def probe(prober: Prober) -> tuple[Indexed, ...] | Judgement:
    if prober.inputs.indexed is None:
        return skipped(SkipReason.INPUT, "No lookup was named: save one with your own key and give --indexed FILE")
    return tuple(each for each in prober.inputs.indexed if each.address == prober.target.endpoint.address)


def judge(seen: tuple[Indexed, ...]) -> Judgement:
    if not seen:
        return passed("The lookup has no record of this address")
    ports = sorted({port for each in seen for port in each.ports})
    newest = max(each.last_update for each in seen)
    why = f"A search engine lists this address with {len(ports)} open ports, last seen {newest}"
    return failed(why, ports=" ".join(map(str, ports)), last_update=newest)


PROCEDURE = Procedure(
    Check(
        "EXP-03",
        "listed by a search engine for open ports",
        (Requirement.R0,),
        Severity.MEDIUM,
        Mode.PASSIVE,
        "nothing; reads a lookup (Shodan, Censys) that the user made with an own key",
        "a record of the address",
        "Attackers look in these lists first.",
        "Close the port; the entry ages out. Ask the operator of the list to remove it.",
    ),
    probe,
    judge,
    anyhow=True,
)
