"""Judges are pure: what a probe may have seen, and what is concluded from it. No network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assess.certificates import certificate
from dicomgate.assess.checks import (
    CATALOGUE,
    adm01_called_title,
    adm02_calling_title,
    adm04_reject_oracle,
    adm05_no_throttle,
    adm06_default_title,
    az01_echo,
    az02_query,
    az03_harvest,
    az04_no_cap,
    az05_worklist,
    az06_get,
    az07_move_destination,
    az08_move_to_third_party,
    az09_storage_offered,
    az10_risky_formats,
    az11_write,
    az12_overwrite,
    az13_forged_workflow,
    exp01_need,
    exp02_public_reach,
    exp03_indexed,
    exp04_shadow_listeners,
    exp05_wrong_zone,
    exp06_dicomweb,
    exp07_channel_bypass,
    exp08_channel_identity,
    fpr01_version,
    fpr02_stored_files,
    idn01_not_required,
    idn02_ignored,
    idn03_accepted_wrongly,
    idn04_web_token,
    idn05_assertion_and_ticket,
    idn06_secret_in_clear,
    idn07_no_lockout,
    log01_canary,
    made_up_passcode,
    rob01_idle,
    rob02_slots,
    rob03_length,
    rob04_bad_pdu,
    tls01_plaintext,
    tls02_old_protocol,
    tls03_suites,
    tls04_certificate,
    tls05_no_client_certificate,
    tls06_any_certificate,
    tls09_dual_stack,
)
from dicomgate.assess.dialogue import (
    Aborted,
    Accepted,
    Answer,
    BrokenDicom,
    NoAnswer,
    NotDicom,
    Rejected,
    Replies,
)
from dicomgate.assess.fingerprint import flaws_of
from dicomgate.assess.inputs import Channel, ChannelFinding, Indexed, SegmentProbe, Usage, Use
from dicomgate.assess.line import Ending
from dicomgate.assess.model import Fingerprint, Outcome, Product, Severity, SkipReason
from dicomgate.assess.prober import Asked, Contact, PortAnswer
from dicomgate.assess.suites import sort_suites
from dicomgate.assess.web import WebAnswer, read_head
from dicomgate.wire.codes import ContextResult, Rejection
from dicomgate.wire.pdu import AssociateAccept, ContextAnswer, UserInformation

F, P, U, S = Outcome.FAIL, Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.SKIPPED
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def accepted(response: bytes | None = None, contexts: int = 1) -> Accepted:
    answers = tuple(ContextAnswer(2 * n + 1, ContextResult.ACCEPTANCE, "1.2.840.10008.1.2") for n in range(contexts))
    information = UserInformation(16384, "1.2.3", user_identity_response=response)
    refused = (ContextAnswer(255, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED),)
    return Accepted(AssociateAccept(b"A" * 16, b"B" * 16, answers or refused, information))


AC, AC_CONFIRMED, AC_NOTHING = accepted(), accepted(b""), accepted(contexts=0)
CALLED, CALLING, UNIFORM = (Rejected(Rejection(1, 1, reason)) for reason in (7, 3, 1))
IDENTITY, BUSY = Rejected(Rejection(1, 2, 1)), Rejected(Rejection(2, 3, 1))
ABORT = Aborted(2, 0)
SILENT, CLOSED, TLS = NoAnswer(Ending.TIMED_OUT), NoAnswer(Ending.CLOSED), NoAnswer(Ending.TLS_REFUSED)
UNREACHED = NoAnswer(Ending.REFUSED, connected=False)
HTTP, BROKEN = NotDicom("http"), BrokenDicom("a length")
NO_PROOF: tuple[Answer, ...] = (SILENT, CLOSED, UNREACHED, HTTP, BROKEN, BUSY)


def asked(answer: Answer = AC, replies: Replies | None = None, *, offered: bool = True) -> Asked:
    return Asked("DICOMGATE", answer, offered=offered and replies is not None, replies=replies)


def found(pending: int = 0, status: int | None = 0, **more: Any) -> Asked:
    return asked(AC, Replies(status=status, pending=pending, **more))


REFUSED_AT_DOOR = asked(CALLING)
NOT_OFFERED = asked(AC_NOTHING)
UNCLEAR = asked(SILENT)
NOT_AUTHORISED = found(status=0x0124)
ABORTED = found(status=None, ended=ABORT)
HANGING = found(status=None, ended=SILENT)
PORTS = (PortAnswer(104, SILENT, None), PortAnswer(4242, AC, None))


def answers(*each: Answer) -> tuple[tuple[str, Answer], ...]:
    return tuple((str(number), answer) for number, answer in enumerate(each))


PAST = SegmentProbe("clinic", "198.51.100.20", 104, must_pass=False, ok=True, past_channel=True)


def verified(**checks: bool | None) -> Channel:
    """A channel of which channel verify says this; None: it could not look."""
    return Channel(
        "a", True, None, tuple(ChannelFinding(name, bool(ok), ok is not None) for name, ok in checks.items())
    )


def seen_passcode(without: Answer, made_up: Answer, tls: bool = False) -> made_up_passcode.Seen:
    return made_up_passcode.Seen(without, made_up, tls)


CASES: list[tuple[Any, Any, Outcome]] = [
    (exp01_need, Usage(30, ()), F),
    (exp01_need, Usage(3, ()), U),
    (exp01_need, Usage(30, (Use("10.1.2.3", 4),)), P),
    (exp02_public_reach, exp02_public_reach.Seen(AC), F),
    (exp02_public_reach, exp02_public_reach.Seen(CALLING), F),
    (exp02_public_reach, exp02_public_reach.Seen(UNREACHED), P),
    (exp03_indexed, (Indexed("192.0.2.1", (104,), "2026-10-01"),), F),
    (exp03_indexed, (), P),
    (exp04_shadow_listeners, exp04_shadow_listeners.Seen(PORTS, frozenset({104})), F),
    (exp04_shadow_listeners, exp04_shadow_listeners.Seen(PORTS, frozenset({4242})), P),
    (exp05_wrong_zone, exp05_wrong_zone.Seen("guest", CALLING), F),
    (exp05_wrong_zone, exp05_wrong_zone.Seen("guest", UNREACHED), P),
    (exp05_wrong_zone, exp05_wrong_zone.Seen(probes=(SegmentProbe("guest", "10.1.1.1", 104, False, False),)), F),
    (exp05_wrong_zone, exp05_wrong_zone.Seen(probes=(SegmentProbe("guest", "10.1.1.1", 104, False, True),)), P),
    (exp05_wrong_zone, exp05_wrong_zone.Seen(), U),
    (exp06_dicomweb, exp06_dicomweb.Seen((("u", WebAnswer(200, "application/dicom+json")),)), F),
    (exp06_dicomweb, exp06_dicomweb.Seen((("u", WebAnswer(204)),)), F),
    (exp06_dicomweb, exp06_dicomweb.Seen((("u", WebAnswer(401)),)), P),
    (exp06_dicomweb, exp06_dicomweb.Seen((("u", WebAnswer(200, "text/html")),)), U),
    (exp06_dicomweb, exp06_dicomweb.Seen((("u", WebAnswer(0, why="not HTTP")),)), U),
    (exp07_channel_bypass, exp07_channel_bypass.Seen((("a", PORTS[1]),)), F),
    (exp07_channel_bypass, exp07_channel_bypass.Seen((("a", PORTS[0]),)), P),
    (exp07_channel_bypass, exp07_channel_bypass.Seen(probes=(replace(PAST, ok=False),)), F),
    (exp07_channel_bypass, exp07_channel_bypass.Seen(probes=(PAST,)), P),
    (exp07_channel_bypass, exp07_channel_bypass.Seen(channels=(verified(cleartext=True),)), P),
    (exp07_channel_bypass, exp07_channel_bypass.Seen(channels=(verified(cleartext=False),)), F),
    (exp07_channel_bypass, exp07_channel_bypass.Seen(channels=(verified(route=False, cleartext=True),)), P),
    (exp07_channel_bypass, exp07_channel_bypass.Seen(channels=(verified(cleartext=None),)), U),
    (exp08_channel_identity, (Channel("a", False, 3),), F),
    (exp08_channel_identity, (Channel("a", False, None),), F),
    (exp08_channel_identity, (Channel("a", True, 400),), F),
    (exp08_channel_identity, (Channel("a", True, None),), P),
    (exp08_channel_identity, (Channel("a", True, 3),), P),
    (exp08_channel_identity, (verified(up=True, peer_identity=True),), P),
    (exp08_channel_identity, (verified(up=True, peer_identity=False),), F),
    (exp08_channel_identity, (verified(up=False),), U),
    (exp08_channel_identity, (verified(up=None),), U),
    (adm01_called_title, adm01_called_title.Seen(AC, AC), F),
    (adm01_called_title, adm01_called_title.Seen(AC, CALLED), P),
    (adm02_calling_title, AC, F),
    (adm02_calling_title, CALLING, P),
    (adm02_calling_title, ABORT, P),
    (adm02_calling_title, TLS, P),
    (adm02_calling_title, CALLED, U),  # the user's own title is wrong: this proves nothing
    *((adm02_calling_title, answer, U) for answer in NO_PROOF),
    (adm04_reject_oracle, adm04_reject_oracle.Seen(AC, AC), S),
    (adm04_reject_oracle, adm04_reject_oracle.Seen(CALLED, CALLING), F),
    (adm04_reject_oracle, adm04_reject_oracle.Seen(CALLED, AC), F),
    (adm04_reject_oracle, adm04_reject_oracle.Seen(UNIFORM, UNIFORM), P),
    (adm04_reject_oracle, adm04_reject_oracle.Seen(TLS, TLS), P),
    (adm04_reject_oracle, adm04_reject_oracle.Seen(CALLED, SILENT), U),
    (adm05_no_throttle, adm05_no_throttle.Seen((CALLED, CALLED), (0.1, 0.1), AC), F),
    (adm05_no_throttle, adm05_no_throttle.Seen((CALLED, CALLED), (0.1, 5.0), AC), P),
    (adm05_no_throttle, adm05_no_throttle.Seen((CALLED, CLOSED), (0.1, 0.1), AC), P),
    (adm05_no_throttle, adm05_no_throttle.Seen((UNIFORM, UNIFORM), (0.1, 0.1), UNIFORM), P),
    (adm06_default_title, adm06_default_title.Seen(answers(CALLED, AC)), F),
    (adm06_default_title, adm06_default_title.Seen(answers(CALLED, CALLED)), P),
    (adm06_default_title, adm06_default_title.Seen(answers(SILENT, CALLED)), U),
    (idn01_not_required, AC, F),
    (idn01_not_required, IDENTITY, P),
    (idn01_not_required, CALLING, S),
    (idn01_not_required, SILENT, U),
    (idn02_ignored, seen_passcode(AC, AC), F),
    (idn02_ignored, seen_passcode(AC, AC_CONFIRMED), S),
    (idn02_ignored, seen_passcode(IDENTITY, IDENTITY), P),
    (idn02_ignored, seen_passcode(AC, SILENT), U),
    (idn03_accepted_wrongly, seen_passcode(AC, AC_CONFIRMED), F),
    (idn03_accepted_wrongly, seen_passcode(AC, AC), P),
    (idn03_accepted_wrongly, seen_passcode(AC, IDENTITY), P),
    (idn04_web_token, idn04_web_token.Seen(AC, answers(AC, AC_CONFIRMED)), F),
    (idn04_web_token, idn04_web_token.Seen(AC, answers(AC, AC)), S),
    (idn04_web_token, idn04_web_token.Seen(IDENTITY, answers(AC, IDENTITY)), F),
    (idn04_web_token, idn04_web_token.Seen(IDENTITY, answers(IDENTITY, IDENTITY)), P),
    (idn04_web_token, idn04_web_token.Seen(IDENTITY, answers(IDENTITY, SILENT)), U),
    (idn05_assertion_and_ticket, idn05_assertion_and_ticket.Seen(AC_CONFIRMED, AC), F),
    (idn05_assertion_and_ticket, idn05_assertion_and_ticket.Seen(AC, IDENTITY), P),
    (idn05_assertion_and_ticket, idn05_assertion_and_ticket.Seen(SILENT, IDENTITY), U),
    (idn06_secret_in_clear, seen_passcode(AC, AC), F),
    (idn06_secret_in_clear, seen_passcode(AC, AC, tls=True), P),
    (idn06_secret_in_clear, seen_passcode(IDENTITY, IDENTITY), U),
    (idn07_no_lockout, idn07_no_lockout.Seen((IDENTITY,) * 5, (0.1,) * 5), F),
    (idn07_no_lockout, idn07_no_lockout.Seen((IDENTITY, CLOSED), (0.1, 0.1)), P),
    (idn07_no_lockout, idn07_no_lockout.Seen((IDENTITY, IDENTITY), (0.1, 4.0)), P),
    (idn07_no_lockout, idn07_no_lockout.Seen((AC, AC), (0.1, 0.1)), S),
    (idn07_no_lockout, idn07_no_lockout.Seen((UNIFORM, UNIFORM), (0.1, 0.1)), U),
    (tls01_plaintext, tls01_plaintext.Seen(((2762, CALLING),), False), F),
    (tls01_plaintext, tls01_plaintext.Seen(((2762, CLOSED), (104, AC)), True), F),
    (tls01_plaintext, tls01_plaintext.Seen(((2762, CLOSED),), True), P),
    (tls01_plaintext, tls01_plaintext.Seen(((2762, CLOSED),), False), U),
    (tls02_old_protocol, tls02_old_protocol.Seen((("TLS 1.0", 0x0301),)), F),
    (tls02_old_protocol, tls02_old_protocol.Seen((("TLS 1.0", 0), ("TLS 1.1", 0x0301))), P),
    (tls02_old_protocol, tls02_old_protocol.Seen((("TLS 1.0", 0), ("TLS 1.1", None))), U),
    (tls03_suites, sort_suites({"TLS_RSA_WITH_RC4_128_SHA"}), F),
    (tls03_suites, sort_suites({"TLS_RSA_WITH_AES_128_CBC_SHA"}), F),
    (tls03_suites, sort_suites({"TLS_AES_128_GCM_SHA256"}, ("ROBOT",)), F),
    (tls03_suites, sort_suites({"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}), P),
    (tls03_suites, sort_suites({"TLS_AES_128_GCM_SHA256"}, why="no result for robot"), U),
    (tls03_suites, sort_suites(set()), U),
    (tls04_certificate, tls04_certificate.Seen(None, None, NOW), U),
    (tls04_certificate, tls04_certificate.Seen(b"rubbish", None, NOW), F),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW), None, NOW), P),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW), "pacs.example", NOW), P),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW), "other.example", NOW), F),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW), None, NOW + timedelta(days=70)), F),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW), None, NOW + timedelta(days=700)), F),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW, self_signed=True), None, NOW), F),
    (tls04_certificate, tls04_certificate.Seen(certificate(NOW, rsa_bits=1024), None, NOW), F),
    (tls05_no_client_certificate, AC, F),
    (tls05_no_client_certificate, TLS, P),
    (tls05_no_client_certificate, CALLING, S),
    (tls06_any_certificate, AC, F),
    (tls06_any_certificate, TLS, P),
    (tls06_any_certificate, CLOSED, U),
    (tls09_dual_stack, tls09_dual_stack.Seen((PortAnswer(104, AC, None), PortAnswer(2762, CLOSED, AC))), F),
    (tls09_dual_stack, tls09_dual_stack.Seen((PortAnswer(104, CALLING, None), PortAnswer(2762, CLOSED, AC))), P),
    (az01_echo, Contact(AC, None, Replies(status=0)), F),
    (az01_echo, Contact(AC, None, Replies(status=0x0122)), P),
    (az01_echo, Contact(AC, None, Replies(ended=SILENT)), U),
    (az01_echo, Contact(CALLING, None, None), P),
    (az02_query, az02_query.Seen(found(0), False), F),
    (az02_query, az02_query.Seen(found(3), False), F),
    (az02_query, az02_query.Seen(found(1), True), F),
    (az02_query, az02_query.Seen(found(0), True), U),
    (az02_query, az02_query.Seen(NOT_AUTHORISED, False), P),
    (az02_query, az02_query.Seen(ABORTED, False), P),
    (az02_query, az02_query.Seen(HANGING, False), U),
    (az02_query, az02_query.Seen(REFUSED_AT_DOOR, False), P),
    (az02_query, az02_query.Seen(NOT_OFFERED, False), P),
    (az02_query, az02_query.Seen(UNCLEAR, False), U),
    (az03_harvest, found(1), F),
    (az03_harvest, found(0), U),
    (az03_harvest, found(2, None, ended=SILENT), F),
    (az03_harvest, found(9, None, cut_off="more than 5 bytes"), F),
    (az03_harvest, NOT_AUTHORISED, P),
    (az04_no_cap, found(500), F),
    (az04_no_cap, found(12), U),
    (az04_no_cap, found(12, None, ended=CLOSED), U),
    (az04_no_cap, NOT_OFFERED, P),
    (az05_worklist, found(0), F),
    (az05_worklist, NOT_AUTHORISED, P),
    (az06_get, az06_get.Seen(found(0), False), F),
    (az06_get, az06_get.Seen(found(0, sub_operations=1), True), F),
    (az06_get, az06_get.Seen(NOT_AUTHORISED, False), P),
    (az06_get, az06_get.Seen(HANGING, False), U),
    (az07_move_destination, az07_move_destination.Seen(found(status=0xA801), False), P),
    (az07_move_destination, az07_move_destination.Seen(found(0), False), U),
    (az07_move_destination, az07_move_destination.Seen(found(0), True), F),
    (az07_move_destination, az07_move_destination.Seen(found(0, completed=1), False), F),
    (az08_move_to_third_party, found(0, completed=3), F),
    (az08_move_to_third_party, found(0, completed=0), U),
    (az08_move_to_third_party, NOT_AUTHORISED, P),
    (az09_storage_offered, az09_storage_offered.Seen(accepted(contexts=3), 125), F),
    (az09_storage_offered, az09_storage_offered.Seen(AC_NOTHING, 125), P),
    (az09_storage_offered, az09_storage_offered.Seen(CALLING, 125), P),
    (az09_storage_offered, az09_storage_offered.Seen(BROKEN, 125), U),
    (az10_risky_formats, az10_risky_formats.Seen(accepted(contexts=2)), F),
    (az10_risky_formats, az10_risky_formats.Seen(AC_NOTHING), P),
    (az11_write, az11_write.Seen(found(0), "1.2", "1.3"), F),
    (az11_write, az11_write.Seen(found(status=0xB000), "1.2", "1.3"), F),
    (az11_write, az11_write.Seen(NOT_AUTHORISED, "1.2", "1.3"), P),
    (az11_write, az11_write.Seen(HANGING, "1.2", "1.3"), U),
    (az12_overwrite, az12_overwrite.Seen(REFUSED_AT_DOOR), P),
    (az12_overwrite, az12_overwrite.Seen(NOT_AUTHORISED), P),
    (az12_overwrite, az12_overwrite.Seen(found(), Replies(status=0x0111)), P),
    (az12_overwrite, az12_overwrite.Seen(found(), Replies(status=0)), U),
    (
        az12_overwrite,
        az12_overwrite.Seen(found(), Replies(status=0), Replies(sub_operations=1, marker_seen=True)),
        F,
    ),
    (az12_overwrite, az12_overwrite.Seen(found(), Replies(status=0), Replies(sub_operations=1)), P),
    (az13_forged_workflow, az13_forged_workflow.Seen(found(0), NOT_OFFERED), F),
    (az13_forged_workflow, az13_forged_workflow.Seen(NOT_OFFERED, found(0)), F),
    (az13_forged_workflow, az13_forged_workflow.Seen(NOT_OFFERED, NOT_AUTHORISED), P),
    (az13_forged_workflow, az13_forged_workflow.Seen(NOT_OFFERED, HANGING), U),
    (rob01_idle, rob01_idle.Seen(3.0, None, connected=True), F),
    (rob01_idle, rob01_idle.Seen(3.0, 4.0, connected=True), P),
    (rob01_idle, rob01_idle.Seen(None, None, connected=False), U),
    (rob02_slots, rob02_slots.Seen(AC, BUSY, 5), F),
    (rob02_slots, rob02_slots.Seen(AC, SILENT, 5), F),
    (rob02_slots, rob02_slots.Seen(AC, AC, 5), P),
    (rob02_slots, rob02_slots.Seen(AC, CALLING, 5), U),
    (rob03_length, rob03_length.Seen(SILENT), F),
    (rob03_length, rob03_length.Seen(ABORT), P),
    (rob03_length, rob03_length.Seen(CLOSED), P),
    (rob03_length, rob03_length.Seen(UNREACHED), U),
    (rob03_length, rob03_length.Seen(HTTP), U),
    (rob04_bad_pdu, rob04_bad_pdu.Seen(answers(ABORT, AC)), F),
    (rob04_bad_pdu, rob04_bad_pdu.Seen(answers(ABORT, SILENT)), F),
    (rob04_bad_pdu, rob04_bad_pdu.Seen(answers(ABORT, CLOSED)), P),
    (rob04_bad_pdu, rob04_bad_pdu.Seen(answers(ABORT, UNREACHED)), U),
    (fpr02_stored_files, fpr02_stored_files.Counts(files=3, dicom=3, executable=1), F),
    (fpr02_stored_files, fpr02_stored_files.Counts(files=3, dicom=3, unsafe_uid=1), F),
    (fpr02_stored_files, fpr02_stored_files.Counts(files=3, dicom=3), P),
    (fpr02_stored_files, fpr02_stored_files.Counts(files=3, dicom=2, unreadable=1), U),
    (fpr02_stored_files, fpr02_stored_files.Counts(files=3), U),
    (log01_canary, log01_canary.Seen("DGCANARY-1", CALLING, None, 300), F),
    (log01_canary, log01_canary.Seen("DGCANARY-1", CALLING, 2.0, 2.0), P),
    (log01_canary, log01_canary.Seen("DGCANARY-1", SILENT, None, 300), U),
]


@pytest.mark.parametrize(
    ("check", "seen", "outcome"),
    CASES,
    ids=[f"{check.PROCEDURE.check.id}-{number}-{outcome}" for number, (check, _, outcome) in enumerate(CASES)],
)
def test_judge(check: Any, seen: Any, outcome: Outcome) -> None:
    judgement = check.PROCEDURE.judge(seen)
    assert judgement.outcome is outcome, judgement.why
    assert judgement.why
    assert judgement.why[-1] != "."


def test_every_check_has_cases() -> None:
    """Some differ from others by what is sent only, and are judged by the same function."""
    alike = {"ADM-03", "ADM-07", "ADM-08", "TLS-07", "TLS-08", "FPR-01"}
    cased = {check.PROCEDURE.check.id for check, _, _ in CASES}
    assert cased | alike == {procedure.check.id for procedure in CATALOGUE}
    for procedure in CATALOGUE:
        if procedure.check.id in alike - {"FPR-01"}:
            assert procedure.judge(AC).outcome is F
            assert procedure.judge(CALLING).outcome is P
            assert procedure.judge(SILENT).outcome is U


def test_severities_follow_what_was_proved() -> None:
    outside = exp02_public_reach.PROCEDURE.judge
    assert outside(exp02_public_reach.Seen(AC)).severity is None
    assert outside(exp02_public_reach.Seen(CALLING)).severity is Severity.HIGH
    guessing = adm05_no_throttle.PROCEDURE.judge
    assert guessing(adm05_no_throttle.Seen((CALLED,), (0.1,), CALLING)).severity is Severity.LOW
    suites = tls03_suites.PROCEDURE.judge
    assert suites(sort_suites({"TLS_RSA_WITH_AES_128_CBC_SHA"})).severity is Severity.LOW
    assert suites(sort_suites({"TLS_RSA_WITH_NULL_SHA"})).severity is None


@pytest.mark.parametrize("reason", [7, 3])
def test_identity_is_not_judged_through_a_closed_door(reason: int) -> None:
    judgement = idn01_not_required.PROCEDURE.judge(Rejected(Rejection(1, 1, reason)))
    assert judgement.skipped is SkipReason.REFUSED_BEFORE


def seen_version(product: Product | None) -> fpr01_version.Seen:
    fingerprint = Fingerprint("1.2.3", "NAME", product)
    return fpr01_version.Seen(fingerprint, *flaws_of(fingerprint))


def test_versions() -> None:
    judge = fpr01_version.PROCEDURE.judge
    old = judge(seen_version(Product("DCMTK", "3.6.7", True)))
    assert old.outcome is F
    assert old.severity is Severity.MEDIUM
    assert "CVE-2026-50254" in {str(item.value).split()[0] for item in old.evidence} | set(
        next(str(item.value) for item in old.evidence if item.name == "cves").split()
    )
    assert judge(seen_version(Product("DCMTK", "3.9.0", True))).outcome is P
    assert judge(seen_version(Product("DCMTK", None, True))).outcome is U
    assert judge(seen_version(None)).outcome is U


@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: Application/DICOM+JSON; charset=utf-8", 200, "application/dicom+json"),
        (b"HTTP/1.1 204 No Content", 204, ""),
        (b"HTTP/1.0 401", 401, ""),
        (b"SSH-2.0-x", 0, ""),
        (b"", 0, ""),
        (b"HTTP/1.1 2x0 OK", 0, ""),
    ],
)
def test_heads_of_web_answers(head: bytes, status: int, kind: str) -> None:
    answer = read_head(head)
    assert (answer.status, answer.kind) == (status, kind)
