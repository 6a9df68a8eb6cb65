"""The ladder: what is done about a finding, what is only said, and whom nobody hits."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from dicomgate.detect.ban import COMMAND, Ban, BanList, Spared
from dicomgate.detect.model import Finding, Rung, Severity, Subject, SubjectKind
from dicomgate.detect.response import Responder, ban_record, finding_record
from dicomgate.detect.settings import DetectSettings, RuleMode, RuleSettings
from dicomgate.policy.model import AeTitlePattern, Archive, Endpoint, Networks, Peer, Rules

NOW = 1_700_000_000.0
HERE = Subject(SubjectKind.ADDRESS, "10.1.9.9")
RESPOND = DetectSettings(mode=RuleMode.RESPOND)
FOUND = Finding("D02", Severity.HIGH, "T1087", HERE, "tried", NOW - 9, NOW, HERE, "10.1.9.9", "ME", {"count": 4})
EMERGENCY = Peer("er", (AeTitlePattern("ER*"),), Networks.of(["10.1.2.0/28"]), never_block=True)
PACS = Archive("main", "ARCHIVE", (Endpoint("10.1.1.20", 104),), networks=Networks.of(["10.1.1.20"]))
SPARED = Spared.of(Rules(archives=(PACS,), peers=(EMERGENCY,)), [Networks.of(["10.1.1.2"])])


def responder(settings: DetectSettings = RESPOND, spared: Spared = SPARED) -> Responder:
    names = iter(f"BAN{number:05}" for number in range(100))
    return Responder(settings, spared, lambda: next(names))


def with_rule(**rule: object) -> DetectSettings:
    return replace(RESPOND, rules={"D02": RuleSettings(**rule)})  # type: ignore[arg-type]


@pytest.mark.parametrize("rung", list(Rung))
def test_each_rung_of_the_ladder(rung: Rung) -> None:
    answer = responder(with_rule(action=rung, duration=60.0)).answer(FOUND, NOW)
    assert answer.rung is rung
    if rung <= Rung.ALERT:
        assert answer.ban is None
    else:
        assert answer.ban == Ban("BAN00000", HERE, rung, NOW, NOW + 60, "D02", "tried")


def test_nothing_goes_further_than_allowed() -> None:
    assert responder(replace(RESPOND, at_most=Rung.DELAY)).answer(FOUND, NOW).rung is Rung.DELAY
    assert responder(replace(RESPOND, at_most=Rung.LOG)).answer(FOUND, NOW).rung is Rung.LOG


@pytest.mark.parametrize("settings", [DetectSettings(), with_rule(mode=RuleMode.SIMULATE)])
def test_what_is_simulated_is_said(settings: DetectSettings) -> None:
    answer = responder(settings).answer(FOUND, NOW)
    assert (answer.rung, answer.wanted, answer.ban, answer.simulated) == (Rung.ALERT, Rung.BAN, None, True)
    record = finding_record(answer, NOW)
    assert (record.outcome, record.detail["simulated"]) == ("would_refuse", "ban")


@pytest.mark.parametrize("address", ["10.1.2.3", "10.1.1.20", "10.1.1.2"])
@pytest.mark.parametrize(
    "target",
    [
        Subject(SubjectKind.ADDRESS, "{}"),
        Subject(SubjectKind.AE_TITLE, "ER1"),
        Subject(SubjectKind.USER, "mueller"),
        Subject(SubjectKind.CERTIFICATE, "ab" * 32),
    ],
    ids=str,
)
def test_never_block_peers_archives_and_balancers_are_spared(target: Subject, address: str) -> None:
    target = Subject(target.kind, target.value.format(address))
    found = replace(FOUND, subject=target, target=target, address=address, calling_ae_title="ER1")
    answer = responder().answer(found, NOW)
    assert (answer.rung, answer.ban, answer.spared) == (Rung.ALERT, None, True)
    assert finding_record(answer, NOW).detail["never_block"] is True


def test_a_never_block_title_from_elsewhere_is_nobody() -> None:
    title = Subject(SubjectKind.AE_TITLE, "ER1")
    found = replace(FOUND, subject=title, target=title, calling_ae_title="ER1")
    assert responder().answer(found, NOW).rung is Rung.BAN


@pytest.mark.parametrize("kind", [SubjectKind.ARCHIVE, SubjectKind.PEER, SubjectKind.GATE])
def test_only_who_can_be_recognised_is_held_off(kind: SubjectKind) -> None:
    party = Subject(kind, "main")
    assert responder().answer(replace(FOUND, subject=party, target=party), NOW).rung is Rung.ALERT
    assert responder().answer(replace(FOUND, target=None), NOW).rung is Rung.ALERT


def test_a_delay_hits_the_address() -> None:
    found = replace(FOUND, target=Subject(SubjectKind.USER, "mueller"))
    ban = responder(with_rule(action=Rung.DELAY)).answer(found, NOW).ban
    assert ban is not None
    assert ban.subject == HERE


def test_who_comes_again_is_held_off_twice_as_long_up_to_a_day() -> None:
    answering = responder(with_rule(duration=3600.0))
    now, lasted = NOW, []
    for _ in range(7):
        ban = answering.answer(FOUND, now).ban
        assert ban is not None
        lasted.append((ban.until - ban.since) / 3600)
        now = ban.until + 1
    assert lasted == [1, 2, 4, 8, 16, 24, 24]
    other = answering.answer(replace(FOUND, target=Subject(SubjectKind.ADDRESS, "10.1.9.8")), now).ban
    assert other is not None
    assert other.until - other.since == 3600


def test_records_hold_what_happened() -> None:
    answer = responder().answer(replace(FOUND, guess=True), NOW)
    record = finding_record(answer, NOW)
    assert (record.rule, record.reason, record.refusal_id, record.address) == ("D02", "tried", "BAN00000", "10.1.9.9")
    assert record.outcome == "refused"
    assert record.detail["evidence"] == {"count": 4}
    assert record.detail["guess"] is True
    assert answer.ban is not None
    placed = ban_record(answer.ban, NOW, placed=True)
    assert (placed.event, placed.address, placed.rule) == ("ban_placed", "10.1.9.9", "D02")
    assert ban_record(answer.ban, NOW, placed=False).reason == "its time is over"
    assert ban_record(replace(answer.ban, lifted=NOW), NOW, placed=False).reason == "lifted by command"
    user = replace(answer.ban, subject=Subject(SubjectKind.USER, "mueller"))
    assert ban_record(user, NOW, placed=True).user == "mueller"


# -- the list ------------------------------------------------------------------------------------------------


def ban(
    subject: Subject = HERE, rung: Rung = Rung.BAN, name: str = "A", origin: str = "D02", lasting: float = 60.0
) -> Ban:
    return Ban(name, subject, rung, NOW, NOW + lasting, origin, "")


def test_the_strictest_in_force_holds() -> None:
    title = Subject(SubjectKind.AE_TITLE, "ME")
    bans = BanList([ban(rung=Rung.DELAY, lasting=90), ban(title, Rung.CAP, "B"), ban(rung=Rung.REFUSE, name="C")])
    address = ip_address("10.1.9.9")
    found = [bans.of_address(address, NOW + seconds) for seconds in (0, 61, 91)]
    assert [each and each.identifier for each in found] == ["C", "A", None]
    held = bans.of_party(ip_address("10.1.9.8"), "ME", None, None, NOW)
    assert held is not None
    assert held.identifier == "B"
    assert bans.of_party(ip_address("10.1.9.8"), "YOU", None, None, NOW) is None
    bans.drop("C")
    bans.drop("C")
    assert len(bans) == 2
    assert "C" not in bans


@pytest.mark.parametrize("kind", [SubjectKind.USER, SubjectKind.CERTIFICATE])
def test_users_and_certificates(kind: SubjectKind) -> None:
    bans = BanList([ban(Subject(kind, "x"))])
    claims = ("x", None) if kind is SubjectKind.USER else (None, "x")
    assert bans.of_party(ip_address("10.1.9.9"), "ME", *claims, NOW) is not None
    assert bans.of_party(ip_address("10.1.9.9"), "ME", *claims[::-1], NOW) is None


@pytest.mark.parametrize("address", [*map(str, ip_network("10.1.2.0/28")), "10.1.1.20", "10.1.1.2"])
def test_what_was_placed_before_somebody_was_spared_does_not_hit_him_either(address: str) -> None:
    subject = Subject(SubjectKind.ADDRESS, address)
    automatic = BanList([ban(subject), ban(Subject(SubjectKind.AE_TITLE, "ER1"), name="B")], SPARED)
    assert automatic.of_address(ip_address(address), NOW) is None
    assert automatic.of_party(ip_address(address), "ER1", None, None, NOW) is None
    by_hand = BanList([ban(subject, origin=COMMAND)], SPARED)
    assert by_hand.of_address(ip_address(address), NOW) is not None


def test_networks_that_are_not_addresses_spare_nobody() -> None:
    assert not SPARED.spares(Subject(SubjectKind.ADDRESS, "no address"), "none either", "ER1")
