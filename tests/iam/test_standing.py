"""Accounts are looked at again and again: what is read is handed on, and what cannot be read ends nobody."""

from __future__ import annotations

import threading

from dicomgate.iam.notices import Notice, VerifierBroke
from dicomgate.iam.standing import StandingWatch
from dicomgate.identity.account import Standing
from iam.standing_in import Ledger, account


class Heard:
    def __init__(self) -> None:
        self.standings: list[Standing] = []
        self.notices: list[Notice] = []
        self.something = threading.Event()

    def hold_to(self, standing: Standing) -> None:
        self.standings.append(standing)
        self.something.set()

    def told(self, notice: Notice) -> None:
        self.notices.append(notice)
        self.something.set()


def test_enabled_users_and_their_roles_are_handed_on() -> None:
    heard, ledger = Heard(), Ledger.of(account("alice"), account("bert", disabled=True))
    watch = StandingWatch(ledger, heard.hold_to, heard.told, every=60)
    watch.look()
    assert heard.standings == [], "nobody vouches for local users yet"
    watch.use(frozenset({"own"}), frozenset({"emergency"}))
    watch.look()
    wanted = Standing({"alice": frozenset({"radiologist"})}, frozenset({"own"}), frozenset({"emergency"}))
    assert heard.standings == [wanted]
    ledger.down = True
    watch.look()
    assert heard.standings == [wanted]
    watch.close()


def test_it_looks_by_itself_and_survives_a_bug() -> None:
    class Breaks(Ledger):
        def enabled(self) -> dict[str, frozenset[str]]:
            self.asked.append("everybody")
            if len(self.asked) == 1:
                raise RuntimeError("secret of somebody")
            return {}

    heard = Heard()
    watch = StandingWatch(Breaks(), heard.hold_to, heard.told, every=0.01)
    watch.use(frozenset({"own"}), frozenset())
    assert heard.something.wait(10)
    heard.something.clear()
    assert heard.standings or heard.something.wait(10)
    watch.close()
    (notice,) = heard.notices
    assert isinstance(notice, VerifierBroke)
    assert "secret" not in repr(notice)
