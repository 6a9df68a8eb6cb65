"""A plan into force on this machine, on trial first; nothing but the table `inet dicomgate` is touched.

Commit-confirm needs no process that waits: a trial is in force only while a set holds an element with a timeout, and
the kernel takes that out by itself (see nftables.py).
"""

from collections.abc import Sequence
from difflib import unified_diff
from enum import StrEnum

from dicomgate.segment import kernel, nftables
from dicomgate.segment.flows import Plan
from dicomgate.segment.kernel import Loaded
from dicomgate.segment.nftables import TABLE


class Applied(StrEnum):
    UNCHANGED = "unchanged"
    """These rules are in force already."""
    ON_TRIAL = "on trial"
    IN_FORCE = "in force"


class NothingOnTrialError(Exception):
    """`over`: there was a trial, and its time has run out."""

    def __init__(self, over: bool) -> None:
        self.over = over
        super().__init__("the trial is over" if over else "nothing is on trial")


def apply(plan: Plan, seconds: int | None) -> Applied:
    """On trial for so many seconds, or (None) at once and for good. NftError: refused, and nothing has changed."""
    kernel.rehearsed(nftables.whole(plan))
    now = kernel.loaded()
    if now.in_force is not None and now.in_force == now.current and not differences(plan, now):
        return Applied.UNCHANGED
    if seconds is None:
        kernel.load(_replaced(plan, now))
        return Applied.IN_FORCE
    own = nftables.generation(plan)
    if own == now.current:
        own += "x"  # somebody changed the rules of this generation by hand, and both must be there for a while
    others = now.generations - {own, *((now.current,) if now.current else ())}
    kernel.load(
        [
            *nftables.frame(),
            *nftables.body(plan, own),
            *nftables.on_trial(own, now.current, seconds),
            *nftables.forgotten(others),
            *_without_strangers(now),
        ]
    )
    return Applied.ON_TRIAL


def confirm() -> None:
    """The rules on trial are there to stay."""
    now, trial = _on_trial()
    if now.seconds_left == 0:
        raise NothingOnTrialError(over=True)
    kernel.load([*nftables.enforced(trial), *nftables.forgotten(now.generations - {trial})])


def revert() -> None:
    """Back to what was before the trial, without waiting for its end."""
    now, _ = _on_trial()
    if now.current is None:
        kernel.load([f"delete table {TABLE}"])
        return
    kernel.load([*nftables.enforced(now.current), *nftables.forgotten(now.generations - {now.current})])


def remove() -> bool:
    """Take the table away; False when there is none."""
    if not kernel.loaded().text:
        return False
    kernel.load([f"delete table {TABLE}"])
    return True


def differences(plan: Plan, now: Loaded) -> list[str]:
    """Lines of a unified diff from what is in force to what the plan says; empty when they are the same."""
    wanted = kernel.rehearsed(nftables.whole(plan))
    return list(
        unified_diff(
            kernel.comparable(now.text, now.in_force),
            kernel.comparable(wanted, nftables.generation(plan)),
            "loaded",
            "configured",
            lineterm="",
        )
    )


def _on_trial() -> tuple[Loaded, str]:
    now = kernel.loaded()
    if now.trial is None:
        raise NothingOnTrialError(over=False)
    return now, now.trial


def _replaced(plan: Plan, now: Loaded) -> list[str]:
    """The whole table anew; bans keep the time they have left."""
    kept = [
        f"add element {TABLE} {name} {{ {value} timeout {left}s }}"
        for name, value, left in now.bans
        if left is not None
    ]
    return [*nftables.whole(plan).splitlines(), *kept]


def _without_strangers(now: Loaded) -> Sequence[str]:
    chains = [name for kind, name in now.strangers if kind == "chain"]
    return [
        *(f"flush chain {TABLE} {name}" for name in chains),
        *(f"delete chain {TABLE} {name}" for name in chains),
        *(f"delete set {TABLE} {name}" for kind, name in now.strangers if kind == "set"),
    ]
