"""The cases file as a user meets it: what is shown, the exit code, and what is said of lines that are no case."""

import pytest

from dicomgate.rehearsal import AS_EXPECTED, OTHERWISE, UNREADABLE, rehearse
from policy.scene import RULES


def test_cases_that_hold() -> None:
    text = """
    # a comment
    allow       store  CT1  from 10.1.2.31  on inside  to ARCHIVE       # and another
    deny 1/1/3  store  XX   from 10.1.2.31  on inside  to ARCHIVE  rule default
    deny        store  XX   to ARCHIVE  on inside  from 10.1.2.31
    """
    assert rehearse(RULES, "ward.cases", text) == (["ward.cases: 3 cases, 0 not as expected"], AS_EXPECTED)


@pytest.mark.parametrize(
    ("case", "came"),
    [
        ("allow store XX from 10.1.2.31 on inside to ARCHIVE", "expected allow, came deny 1/1/3 by default"),
        ("deny store CT1 from 10.1.2.31 on inside to ARCHIVE", "expected deny, came allow by peer[ct-1].may"),
        ("watch store CT1 from 10.1.2.31 on inside to ARCHIVE", "expected watch, came allow by peer[ct-1].may"),
        ("deny 1/1/7 store XX from 10.1.2.31 on inside to ARCHIVE", "expected deny 1/1/7, came deny 1/1/3 by default"),
        (
            "deny closed store CT1 from 10.1.9.9 on inside to ARCHIVE",
            "expected deny closed, came deny 1/1/3 by peer[ct-1].networks",
        ),
        (
            "deny 1/1/3 store CT1 from 192.0.2.1 on inside to ARCHIVE",
            "expected deny 1/1/3, came deny closed by listener[inside].networks",
        ),
        (
            "deny 0124 move CT1 from 10.1.2.31 on inside to ARCHIVE destination ELSE",
            "expected deny 0124, came deny A801 by peer[ct-1].move_to",
        ),
        (
            "allow store CT1 from 10.1.2.31 on inside to ARCHIVE rule peer[mr].may",
            "expected allow by peer[mr].may, came allow by peer[ct-1].may",
        ),
    ],
)
def test_a_case_that_does_not_hold_is_shown_with_what_came(case: str, came: str) -> None:
    lines, code = rehearse(RULES, "ward.cases", f"\n{case}\n")
    assert lines == [f"ward.cases:2: {came}: {case}", "ward.cases: 1 cases, 1 not as expected"]
    assert code == OTHERWISE


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("maybe store CT1", 'expected a verdict (allow, deny, watch), came "maybe"'),
        ("allow store", "expected WHAT and WHO, came the end of the line"),
        ("deny 1/1/3", "expected WHAT and WHO, came the end of the line"),
        (
            "allow 1/1/3 store CT1",
            "expected one of from, on, to, class, syntax, role, destination, certificate, channel, user, roles, at",
        ),
        ("allow stor CT1 from ::1 on inside to ARCHIVE", "expected a verb or a DIMSE service (echo, store,"),
        ("allow store CT1 from ::1 to ARCHIVE", "expected from, on, to after WHO, came no on"),
        ("allow store CT1 from ::1 on outside to ARCHIVE", "expected a listener of the configuration (inside), came"),
        ("allow store CT1 from pacs on inside to ARCHIVE", "'pacs' does not appear to be an IPv4 or IPv6 address"),
        ("allow store CT1 from ::1 from ::2 on inside to ARCHIVE", "expected from once, came twice"),
        ("allow store CT1 from ::1 on inside to ARCHIVE class", "expected something after class, came the end"),
        ("allow store CT1 from ::1 on inside to ARCHIVE class CTImage", "expected a SOP class (UID or keyword), came"),
        ("allow store CT1 from ::1 on inside to ARCHIVE syntax JPEG", "expected a transfer syntax (UID or keyword)"),
        ("allow store CT1 from ::1 on inside to ARCHIVE role boss", "expected a role (scu, scp, both), came"),
        ("allow C-FIND CT1 from ::1 on inside to ARCHIVE", "expected a class with C-FIND, came none"),
        ('allow store "CT1 from ::1 on inside to ARCHIVE', "No closing quotation"),
    ],
)
def test_a_line_that_is_no_case_ends_the_rehearsal(line: str, said: str) -> None:
    lines, code = rehearse(RULES, "ward.cases", f"# first line\n{line}\n")
    assert code == UNREADABLE
    assert len(lines) == 1
    assert lines[0].startswith(f"ward.cases:2: {said}")


def test_an_empty_file_holds_no_cases_and_says_so() -> None:
    assert rehearse(RULES, "ward.cases", "") == (["ward.cases: 0 cases, 0 not as expected"], AS_EXPECTED)
