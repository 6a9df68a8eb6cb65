"""Where to connect next: order, dead addresses last, names looked up off the loop and kept when that fails."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dicomgate.gate.upstream import SocketAddress, Upstreams
from dicomgate.policy.model import Endpoint

FIRST, SECOND, THIRD = (Endpoint(f"10.1.1.{number}", 104) for number in (1, 2, 3))
V4, V6 = socket.AF_INET, socket.AF_INET6


def at(endpoint: Endpoint) -> SocketAddress:
    return V4, (endpoint.host, endpoint.port)


class Names:
    """A name service that knows what it is told; counts questions, and can be held up."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    def getaddrinfo(self, host: str, port: int, *, type: int) -> list[object]:
        self.asked.append(host)
        assert self.answering.wait(10)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (V6 if ":" in address else V4, type, 6, "", (address, port, 0, 0) if ":" in address else (address, port))
            for address in self.known[host]
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    bugs: list[object] = []
    loop.set_exception_handler(lambda _, context: bugs.append(context))
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert not bugs


class Ask:
    """Asks for candidates; runs the loop until they are there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.upstreams = Upstreams(loop)

    def now(self, *endpoints: Endpoint, at: float = 0.0) -> list[list[SocketAddress]]:
        """What has been answered when the call returns: one list, or nothing yet."""
        answers: list[list[SocketAddress]] = []
        self.upstreams.candidates(endpoints, at, answers.append)
        return answers

    def __call__(self, *endpoints: Endpoint, at: float = 0.0) -> list[SocketAddress]:
        answer: asyncio.Future[list[SocketAddress]] = self.loop.create_future()
        self.upstreams.candidates(endpoints, at, answer.set_result)
        return self.loop.run_until_complete(asyncio.wait_for(answer, 10))

    def until(self, done: Callable[[], bool]) -> None:
        async def poll() -> None:
            while not done():
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(asyncio.wait_for(poll(), 10))


@pytest.fixture
def ask(loop: asyncio.AbstractEventLoop, names: Names) -> Ask:
    return Ask(loop)


def test_literal_addresses_come_at_once_in_their_order(ask: Ask, names: Names) -> None:
    six = Endpoint("2001:db8::1", 104)
    assert ask.now(SECOND, six, FIRST) == [[at(SECOND), (V6, ("2001:db8::1", 104)), at(FIRST)]]
    assert names.asked == []


def test_a_dead_address_is_tried_last_for_a_while(ask: Ask) -> None:
    ask.upstreams.failed(at(FIRST), 100.0)
    assert ask(FIRST, SECOND, THIRD, at=100.0) == [at(SECOND), at(THIRD), at(FIRST)]
    assert ask(FIRST, SECOND, THIRD, at=109.9) == [at(SECOND), at(THIRD), at(FIRST)]
    assert ask(FIRST, SECOND, THIRD, at=110.0) == [at(FIRST), at(SECOND), at(THIRD)]


def test_one_that_answers_is_alive_again(ask: Ask) -> None:
    ask.upstreams.failed(at(FIRST), 100.0)
    ask.upstreams.answered(at(FIRST))
    ask.upstreams.answered(at(SECOND))
    assert ask(FIRST, SECOND, at=100.0) == [at(FIRST), at(SECOND)]


def test_when_all_are_dead_all_are_tried_in_their_order(ask: Ask) -> None:
    for endpoint in (SECOND, FIRST):
        ask.upstreams.failed(at(endpoint), 100.0)
    assert ask(FIRST, SECOND, at=101.0) == [at(FIRST), at(SECOND)]


def test_a_name_has_all_its_addresses_in_its_place(ask: Ask, names: Names) -> None:
    names.known["pacs"] = ["10.9.9.1", "2001:db8::9", "10.9.9.1"]
    found = ask(FIRST, Endpoint("pacs", 104), SECOND)
    assert found == [at(FIRST), (V4, ("10.9.9.1", 104)), (V6, ("2001:db8::9", 104)), at(SECOND)]


def test_an_answer_is_kept_and_fetched_anew_in_the_background(ask: Ask, names: Names) -> None:
    pacs = Endpoint("pacs", 104)
    names.known["pacs"] = ["10.9.9.1"]
    start = ask.loop.time()
    assert ask(pacs, at=start) == [(V4, ("10.9.9.1", 104))]
    names.known["pacs"] = ["10.9.9.2"]
    assert ask.now(pacs, at=start + 50) == [[(V4, ("10.9.9.1", 104))]]
    assert names.asked == ["pacs"]
    assert ask.now(pacs, at=start + 100) == [[(V4, ("10.9.9.1", 104))]]  # the old one, at once
    ask.until(lambda: ask.now(pacs, at=start + 50) == [[(V4, ("10.9.9.2", 104))]])
    assert names.asked == ["pacs", "pacs"]


def test_an_old_answer_is_used_while_the_name_service_fails(ask: Ask, names: Names) -> None:
    pacs = Endpoint("pacs", 104)
    names.known["pacs"] = ["10.9.9.1"]
    start = ask.loop.time()
    ask(pacs, at=start)
    del names.known["pacs"]
    for _ in range(3):
        assert ask.now(pacs, at=start + 1000) == [[(V4, ("10.9.9.1", 104))]]
        ask.until(lambda: not ask.upstreams._resolving)
    assert names.asked[:2] == ["pacs", "pacs"]


@pytest.mark.parametrize("host", ["nowhere", "a..b", "x" * 70 + ".example"])
def test_a_name_that_is_not_found_is_asked_for_again_next_time(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The second and third are no names at all: their encoding fails before anybody is asked."""
    failing = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        host.encode("idna")
        raise failing

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ask = Ask(loop)
    assert ask(Endpoint(host, 104)) == []
    assert ask(Endpoint(host, 104)) == []
    assert ask(Endpoint(host, 104), FIRST) == [at(FIRST)]
    assert asked == [host] * 3


def test_many_who_wait_for_one_name_cost_one_question(ask: Ask, names: Names) -> None:
    names.known["pacs"] = ["10.9.9.1"]
    names.answering.clear()
    answers = [ask.now(Endpoint("pacs", 104), FIRST) for _ in range(50)]
    assert all(answer == [] for answer in answers)
    names.answering.set()
    ask.until(lambda: all(answers))
    assert all(answer == [[(V4, ("10.9.9.1", 104)), at(FIRST)]] for answer in answers)
    assert names.asked == ["pacs"]


def test_two_names_are_both_waited_for(ask: Ask, names: Names) -> None:
    names.known |= {"one": ["10.9.9.1"], "two": ["10.9.9.2"]}
    assert ask(Endpoint("one", 1), Endpoint("two", 2)) == [(V4, ("10.9.9.1", 1)), (V4, ("10.9.9.2", 2))]
