"""Who would be locked out: what sshd and who say, and what the plan says to that."""

from ipaddress import ip_address

import pytest

from dicomgate.segment.sessions import Session, cut_off, of_ssh_connection, of_who, sessions
from segment.targets import plan_of

WHO = """\
admin    pts/0        2026-11-22 08:01 (10.1.9.2)
admin    tty1         2026-11-22 08:00
other    pts/1        2026-11-22 08:02 10.1.3.9
local    :0           2026-11-22 08:02 (:0)
tmux     pts/2        2026-11-22 08:02 (tmux(123).%0)
six      pts/3        2026-11-22 08:02 (2001:db8:9::7)
back     pts/4        2026-11-22 08:02 (127.0.0.1)
"""


def test_sessions_are_read() -> None:
    assert of_ssh_connection("10.1.9.2 50123 10.1.1.5 22") == Session(ip_address("10.1.9.2"), ip_address("10.1.1.5"))
    assert of_ssh_connection("::ffff:10.1.9.2 1 fe80::1%eth0 2222") == Session(
        ip_address("10.1.9.2"), ip_address("fe80::1"), 2222
    )
    assert [str(session.client) for session in of_who(WHO)] == ["10.1.9.2", "10.1.3.9", "2001:db8:9::7"]


@pytest.mark.parametrize("text", ["", "10.1.9.2", "a b c d", "10.1.9.2 1 10.1.1.5 ssh", "10.1.9.2 1 10.1.1.5 22 5"])
def test_what_is_no_session_is_none(text: str) -> None:
    assert of_ssh_connection(text) is None


def test_the_session_of_this_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.1.3.9 50123 10.1.1.5 22")
    assert Session(ip_address("10.1.3.9"), ip_address("10.1.1.5")) in sessions()


def test_only_who_would_be_locked_out_is_named() -> None:
    plan = plan_of("clinic")
    fine = [Session(ip_address("10.1.9.2"), ip_address("10.1.1.5")), Session(ip_address("10.1.9.2"))]
    assert cut_off(plan, fine) == []
    (sentence,) = cut_off(plan, [*fine, Session(ip_address("10.1.3.9"), ip_address("10.1.1.5"))])
    assert sentence == "the session from 10.1.3.9 to port 22 of this machine is cut by segment[imaging].other_traffic"
    (sentence,) = cut_off(plan, [Session(ip_address("10.1.9.2"), ip_address("10.1.1.5"), 2222)])
    assert "port 2222" in sentence
