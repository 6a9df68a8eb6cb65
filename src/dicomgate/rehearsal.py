"""Cases that a configuration must answer as written: one line each, for people to review and for machines to check.

In: the rules and the text of a cases file. Out: one line for each case that came out otherwise, and an exit code.

    # VERDICT ANSWER    WHAT      WHO       WHERE FROM AND TO                          WITH
    allow               store     CT1       from 10.1.2.31  on inside  to ARCHIVE
    deny      1/1/3     store     CT1       from 10.1.9.9   on inside  to ARCHIVE      rule peer[ct-1].networks
    deny      A801      move      READER1   from 10.1.3.7   on inside  to ARCHIVE      destination ELSEWHERE

VERDICT   allow, deny, or watch: let pass in monitor mode, and recorded as what would be refused
ANSWER    what the other side sees: closed (no DICOM at all), an A-ASSOCIATE-RJ as result/source/reason, or a DIMSE
          status as four hexadecimal digits; may be left out
WHAT      a verb (echo, store, find, ...), or a DIMSE service on a class (N-ACTION ... class ModalityPerformed...)
WHO, to   AE titles; in quotes when they hold a space or a #
WITH      any of: class UID-OR-KEYWORD, syntax UID-OR-KEYWORD[,...], role scu|scp|both, destination TITLE,
          certificate dns:NAME (or uri:, sha256:, spki:; what the client shows), channel NAME (came through it),
          user NAME (who has been verified), roles ROLE[,...] (which that user has), at 2026-11-22T08:30 (local time;
          otherwise a Monday noon), rule KEY (the rule that must decide), by-called (the called side asks),
          during-get (a C-GET is under way)
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from dicomgate.config import words
from dicomgate.config.problem import WrongValueError, listed, shown
from dicomgate.explain import IMPLICIT_VR_LITTLE_ENDIAN, Answer, Question, ask
from dicomgate.facts import CertificateFacts
from dicomgate.policy.model import CertificateKind, CertificatePattern, Rules, Verb
from dicomgate.policy.policy import Policy
from dicomgate.wire.codes import CommandField

AS_EXPECTED, OTHERWISE, UNREADABLE = 0, 1, 2

_VERDICTS = ("allow", "deny", "watch")
_ANSWER = re.compile(r"closed|[0-9]/[0-9]/[0-9]|[0-9A-F]{4}")
_ROLES = {"scu": (True, False), "scp": (False, True), "both": (True, True)}
_A_MONDAY_NOON = "2026-11-23T12:00"
_FLAGS = ("by-called", "during-get")
_NEEDED = ("from", "on", "to")
_PAIRS = (*_NEEDED, "class", "syntax", "role", "destination", "certificate", "channel", "user", "roles", "at", "rule")
_REQUESTS = {field.name.removesuffix("_RQ").replace("_", "-"): field for field in CommandField if not field.is_response}


@dataclass(frozen=True, slots=True)
class Case:
    """One line: the question, and what is expected of it. `answer` and `rule` are None when any will do."""

    line: int
    text: str
    question: Question
    verdict: str
    answer: str | None
    rule: str | None

    def differs(self, policy: Policy) -> str | None:
        """What came instead, or None when all is as expected."""
        came = ask(policy, self.question)
        verdict, rule = _verdict(came)
        wrong = (
            verdict != self.verdict
            or (self.answer is not None and came.seen != self.answer)
            or (self.rule is not None and rule != self.rule)
        )
        if not wrong:
            return None
        expected = " ".join(filter(None, (self.verdict, self.answer, self.rule and f"by {self.rule}")))
        return f"expected {expected}, came {' '.join(filter(None, (verdict, came.seen)))} by {rule}: {self.text}"


class CaseError(ValueError):
    """A line that is no case: which one, what was expected, what came."""


def rehearse(rules: Rules, file: str, text: str) -> tuple[list[str], int]:
    """Lines to show, and 0 when every case came out as written, 1 when some did not, 2 when the file is not readable.

    `file` is the name to show in `FILE:LINE: …`.
    """
    try:
        cases = list(read_cases(rules, file, text))
    except CaseError as error:
        return [str(error)], UNREADABLE
    policy = Policy(rules)
    lines = [f"{file}:{case.line}: {came}" for case in cases if (came := case.differs(policy)) is not None]
    return [*lines, f"{file}: {len(cases)} cases, {len(lines)} not as expected"], OTHERWISE if lines else AS_EXPECTED


def read_cases(rules: Rules, file: str, text: str) -> Iterator[Case]:
    """Every case of a file; CaseError at the first line that is none."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            tokens = shlex.split(line, comments=True)
            if tokens:
                yield _case(rules, number, " ".join(line.split()), tokens)
        except (ValueError, WrongValueError) as error:
            hint = error.text if isinstance(error, WrongValueError) else str(error)
            raise CaseError(f"{file}:{number}: {hint}") from None


def _case(rules: Rules, number: int, text: str, tokens: list[str]) -> Case:
    verdict = _one_of("a verdict", _VERDICTS, tokens.pop(0))
    answer = tokens.pop(0) if tokens and verdict != "allow" and _ANSWER.fullmatch(tokens[0]) else None
    if len(tokens) < 2:
        raise ValueError("expected WHAT and WHO, came the end of the line")
    what, calling = tokens.pop(0), tokens.pop(0)
    given = _given(tokens)
    request = _REQUESTS.get(what)
    if request is not None and "class" not in given:
        raise ValueError(f"expected a class with {what}, came none")
    syntaxes = given["syntax"].split(",") if "syntax" in given else [IMPLICIT_VR_LITTLE_ENDIAN]
    question = Question(
        listener=_one_of("a listener of the configuration", [known.name for known in rules.listeners], given["on"]),
        source=ip_address(given["from"]),
        calling_ae_title=calling,
        called_ae_title=given["to"],
        verb=Verb(_one_of("a verb or a DIMSE service", tuple(Verb), what)) if request is None else Verb.ECHO,
        move_destination=given.get("destination"),
        sop_class=words.sop_class(given["class"]) if "class" in given else None,
        transfer_syntaxes=tuple(map(words.transfer_syntax, syntaxes)),
        request=request,
        roles_proposed=_ROLES[_one_of("a role", tuple(_ROLES), given["role"])] if "role" in given else None,
        by_called="by-called" in given,
        during_get="during-get" in given,
        certificate=_certificate(words.certificate(given["certificate"])) if "certificate" in given else None,
        channel=given.get("channel"),
        user=given.get("user"),
        roles=tuple(_known_role(rules, role) for role in given["roles"].split(",")) if "roles" in given else (),
        at=_moment(given.get("at", _A_MONDAY_NOON)),
    )
    return Case(number, text, question, verdict, answer, given.get("rule"))


def _given(tokens: list[str]) -> dict[str, str]:
    """The words after WHO, by name; a flag stands for itself."""
    given: dict[str, str] = {}
    rest = iter(tokens)
    for word in rest:
        if word in given:
            raise ValueError(f"expected {word} once, came twice")
        if word not in _PAIRS and word not in _FLAGS:
            raise ValueError(f"expected one of {listed((*_PAIRS, *_FLAGS))}; came {shown(word)}")
        value = word if word in _FLAGS else next(rest, None)
        if value is None:
            raise ValueError(f"expected something after {word}, came the end of the line")
        given[word] = value
    if missing := [word for word in _NEEDED if word not in given]:
        raise ValueError(f"expected {listed(_NEEDED)} after WHO, came no {listed(missing)}")
    return given


def _known_role(rules: Rules, role: str) -> str:
    return _one_of("a role of the configuration", [known.name for known in rules.roles], role)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"expected a time such as {_A_MONDAY_NOON}, came {shown(text)}") from None


def _certificate(pattern: CertificatePattern) -> CertificateFacts:
    """A valid certificate of which nothing is known but this."""
    value, kind = pattern.value, pattern.kind
    return CertificateFacts(
        sha256=value if kind is CertificateKind.SHA256 else "",
        spki_sha256=value if kind is CertificateKind.SPKI else "",
        dns_names=(value,) if kind is CertificateKind.DNS else (),
        uris=(value,) if kind is CertificateKind.URI else (),
        issuer="",
        serial_number="",
        not_after=0.0,
    )


def _one_of(what: str, known: Sequence[str], word: str) -> str:
    if word not in known:
        raise ValueError(f"expected {what} ({listed(known)}), came {shown(word)}")
    return word


def _verdict(came: Answer) -> tuple[str, str]:
    """The word of the cases file, and the rule that decided."""
    if came.denied is not None:
        return "deny", came.denied.rule
    if came.would_refuse is not None:
        return "watch", came.would_refuse.rule
    decided = came.operation or came.association
    return "allow", decided.rule if decided is not None else ""
