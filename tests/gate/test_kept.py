"""What is held back as a whole: small in memory, large in a file without a name, and never more than there is room."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomgate.gate.kept import MEMORY, PIECE, SMALL, Kept, KeptDataSet

BLOCK = bytes(range(256)) * 1024


class Store:
    """A loop that is turned by hand, and what was told."""

    def __init__(self, directory: Path, most: int = 1 << 30, reserve: int = 0) -> None:
        self.loop = asyncio.new_event_loop()
        self.kept = Kept(directory, self.loop.call_soon_threadsafe, most, reserve=reserve)
        self.progress = 0
        self.failures: list[str] = []
        self.begun: list[KeptDataSet] = []

    def begin(self) -> KeptDataSet:
        def written() -> None:
            self.progress += 1

        self.begun.append(self.kept.begin(written, self.failures.append))
        return self.begun[-1]

    def close(self) -> None:
        """No file stays open."""
        for data_set in self.begun:
            self.turn_until(lambda held=data_set: not held._busy)
            data_set.close()
            data_set._close_file()
        self.loop.close()

    def turn_until(self, condition: Callable[[], object]) -> None:
        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(asyncio.wait_for(wait(), 20))

    def back(self, data_set: KeptDataSet) -> bytes:
        got: list[bytes] = []
        done: list[bool] = []

        def take(piece: bytes, last: bool) -> None:
            got.append(piece)
            if last:
                done.append(True)
            else:
                data_set.fetch(take)

        data_set.fetch(take)
        self.turn_until(lambda: done)
        return b"".join(got)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


def test_a_small_one_never_touches_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "work", lambda *_: pytest.fail("to the disk"))
    data_set = store.begin()
    data_set.add(memoryview(b"one"))
    data_set.add(b"two")
    assert store.kept.memory == store.kept.size == 6
    assert store.back(data_set) == b"onetwo"
    data_set.close()
    data_set.close()
    assert store.kept.memory == store.kept.size == 0


def test_a_large_one_comes_back_from_a_file_without_a_name(store: Store, tmp_path: Path) -> None:
    data_set = store.begin()
    count = 40
    for _ in range(count):
        data_set.add(memoryview(BLOCK))
        store.turn_until(lambda: not data_set.full)
    assert os.listdir(tmp_path) == []
    assert store.kept.memory == 0
    assert store.progress
    assert count * len(BLOCK) > SMALL + PIECE
    assert store.back(data_set) == BLOCK * count
    data_set.close()
    assert store.kept.size == 0


def test_its_sender_waits_for_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Callable[[], None]] = []
    monkeypatch.setattr(Kept, "work", lambda _, job: jobs.append(job))
    data_set = store.begin()
    while not data_set.full:
        data_set.add(BLOCK)
    assert store.kept.size <= SMALL + 2 * len(BLOCK)
    (job,) = jobs
    monkeypatch.undo()
    job()
    store.turn_until(lambda: not data_set.full)


def test_without_room_in_memory_a_small_one_goes_to_the_disk(store: Store) -> None:
    others = [store.begin() for _ in range(MEMORY // SMALL)]
    for other in others:
        other.add(bytes(SMALL))
    assert store.kept.memory == MEMORY
    data_set = store.begin()
    data_set.add(b"small")
    assert store.kept.memory == MEMORY
    assert store.back(data_set) == b"small"


def test_all_together_are_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path, most=10)
    one, two = store.begin(), store.begin()
    one.add(b"123456")
    two.add(b"123456")
    two.add(b"more")
    store.turn_until(lambda: store.failures)
    assert "limits.held_objects" in store.failures[0]
    two.close()
    assert store.kept.size == 6
    assert store.back(one) == b"123456"
    store.close()


def test_a_full_disk_fails_it_once(tmp_path: Path) -> None:
    store = Store(tmp_path, reserve=1 << 60)
    data_set = store.begin()
    for _ in range(8):
        data_set.add(BLOCK)
    store.turn_until(lambda: store.failures)
    assert store.failures == ["No space left on device"]
    data_set.fetch(lambda *_: pytest.fail("a part of it came back"))
    data_set.add(BLOCK)
    store.turn_until(lambda: True)
    assert len(store.failures) == 1
    data_set.close()
    assert store.kept.size == 0
    store.close()


def test_a_directory_that_is_gone_fails_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "gone")
    data_set = store.begin()
    for _ in range(8):
        data_set.add(BLOCK)
    store.turn_until(lambda: store.failures)
    assert "No such file" in store.failures[0]
    store.close()


def test_a_file_that_was_cut_is_noticed(store: Store) -> None:
    data_set = store.begin()
    for _ in range(8):
        data_set.add(BLOCK)
    store.turn_until(lambda: not data_set.full and data_set._file is not None and not data_set._busy)
    assert data_set._file is not None
    os.ftruncate(data_set._file.fileno(), 100)
    pieces: list[bool] = []

    def take(piece: bytes, last: bool) -> None:
        pieces.append(last)
        data_set.fetch(take)

    data_set.fetch(take)
    store.turn_until(lambda: store.failures)
    assert "shorter" in store.failures[0]
    assert not any(pieces)


def test_closing_amid_the_work_tells_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Callable[[], None]] = []
    monkeypatch.setattr(Kept, "work", lambda _, job: jobs.append(job))
    data_set = store.begin()
    for _ in range(8):
        data_set.add(BLOCK)
    (job,) = jobs
    data_set.close()
    job()
    store.turn_until(lambda: len(jobs) == 2)
    assert store.progress == 0
    assert store.failures == []
    jobs[1]()  # closes the file
