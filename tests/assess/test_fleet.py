"""Many targets: several hosts at once, one connection to a host, and an interrupted run goes on where it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from assess import strangers
from assess.scene import prober
from assess.strangers import listening
from dicomgate.assess.fleet import Fleet, Progress, StateError, StateFile
from dicomgate.assess.line import Endpoint
from dicomgate.assess.model import Consent, State
from dicomgate.assess.prober import Prober
from dicomgate.assess.scope import Named, Resolved

MANY = 200
RUN = {"called": "ARCHIVE"}


def at(address: str, port: int) -> Resolved:
    return Resolved(Named(address, port), Endpoint(address, port))


def make(target: Resolved, called: str) -> Prober:
    assert target.endpoint is not None
    return prober(target.endpoint, called)


def test_two_hundred_targets_cost_little_memory() -> None:
    with listening(strangers.rejecting, "0.0.0.0") as stranger:  # noqa: S104 - all of loopback is meant
        targets = [at(f"127.0.1.{number}", stranger.endpoint.port) for number in range(1, MANY + 1)]
        before = psutil.Process().memory_info().rss
        reports = Fleet(make, Consent(), "ARCHIVE").run(targets)
        grown = psutil.Process().memory_info().rss - before
        # One each; on a busy machine those that closed are noticed late. All of them at once would be 200.
        assert stranger.most_at_once <= 4 * 8
    assert [report.target for report in reports] == [str(target.named) for target in targets]
    assert {report.state for report in reports} == {State.ASSESSED}
    assert grown < 100 * 1024 * 1024


def test_the_ports_of_one_host_wait_for_each_other() -> None:
    with ExitStack() as stack:
        several = [stack.enter_context(listening(strangers.rejecting)) for _ in range(4)]
        lock, running, most = threading.Lock(), [0], [0]

        def counted(progress: Progress) -> None:
            with lock:
                if progress.report is not None:
                    running[0] -= 1
                elif progress.check_id == "ADM-01":
                    running[0] += 1
                    most[0] = max(most[0], running[0])

        targets = [at("127.0.0.1", each.endpoint.port) for each in several]
        reports = Fleet(make, Consent(), "ARCHIVE", progress=counted).run(targets)
    assert len(reports) == 4
    assert most == [1]


def test_a_name_without_an_address_is_reported() -> None:
    (report,) = Fleet(make, Consent(), "ARCHIVE").run([Resolved(Named("gone.example", 104), None)])
    assert report.state is State.UNREACHABLE
    assert report.incomplete
    assert report.connections == 0


@pytest.fixture
def counting() -> tuple[list[str], Callable[[Resolved, str], Prober]]:
    asked: list[str] = []

    def noted(target: Resolved, called: str) -> Prober:
        asked.append(str(target.named))
        return make(target, called)

    return asked, noted


def test_an_interrupted_run_goes_on(
    tmp_path: Path, counting: tuple[list[str], Callable[[Resolved, str], Prober]]
) -> None:
    asked, noted = counting
    path = tmp_path / "run.state"
    with listening(strangers.rejecting, "0.0.0.0") as stranger:  # noqa: S104
        targets = [at(f"127.0.2.{number}", stranger.endpoint.port) for number in (1, 2, 3)]
        Fleet(noted, Consent(), "ARCHIVE", StateFile(path, RUN), hosts_at_once=1).run(targets[:2])
        whole = path.read_text("utf-8")
        path.write_text(whole[:-200], "utf-8")  # killed in the middle of a line
        reports = Fleet(noted, Consent(), "ARCHIVE", StateFile(path, RUN)).run(targets)
    assert asked == [str(target.named) for target in (targets[0], targets[1], targets[1], targets[2])]
    assert len(reports) == 3
    again = StateFile(path, RUN)
    assert set(again.done) == {str(target.named) for target in targets}
    assert again.done[reports[0].target].results == reports[0].results


def test_a_state_file_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.state"
    StateFile(path, RUN)
    with pytest.raises(StateError, match="belongs to another run"):
        StateFile(path, {"called": "OTHER"})
    with pytest.raises(StateError, match="cannot be used"):
        StateFile(tmp_path / "no" / "such" / "folder", RUN)
    assert json.loads(path.read_text("utf-8"))["schema"] == "dicomgate-assessment-1"


def test_an_interruption_keeps_what_is_done_and_asks_the_rest_again(tmp_path: Path) -> None:
    path = tmp_path / "run.state"
    halted = threading.Event()

    def interrupted(target: Resolved, called: str) -> Prober:
        made = make(target, called)
        made.halted = lambda: "interrupted by the user" if halted.is_set() else None
        return made

    def stop_at_second(progress: Progress) -> None:
        if progress.report is not None:
            halted.set()

    with listening(strangers.rejecting, "0.0.0.0") as stranger:  # noqa: S104
        targets = [at(f"127.0.3.{number}", stranger.endpoint.port) for number in (1, 2)]
        fleet = Fleet(interrupted, Consent(), "ARCHIVE", StateFile(path, RUN), stop_at_second, 1, halted=halted)
        reports = fleet.run(targets)
    assert [report.state for report in reports] == [State.ASSESSED, State.STOPPED]
    assert set(StateFile(path, RUN).done) == {str(targets[0].named)}
