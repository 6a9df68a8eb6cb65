"""`dicomgate demo`: plays the story, checks every expectation, writes the transcript; exit code out."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from time import monotonic, sleep, time

from rich.console import Console

from dicomgate.demo.answers import Unexpected
from dicomgate.demo.result import Result, overall_problems
from dicomgate.demo.stage import Refusal, Stage, StageError, standing
from dicomgate.demo.steps import Chapter, Step, chapters
from dicomgate.demo.transcript import Transcript

RECORDED_WITHIN = 3.0
"""Seconds that the gate's records may lag behind its answers."""
APART = 0.005
"""Seconds between steps: records carry whole milliseconds, and by its time each must belong to one step."""


def run_demo(keep: bool = False, console: Console | None = None) -> int:
    """Play the demo on loopback and tell of it on `console`.

    0 when every expectation held, 1 otherwise. With `keep` the folder with configuration, log and records is left
    in place, and the transcript says where. Needs no privileges; ends everything it started.
    """
    transcript = Transcript(console or Console())
    with _folder(keep) as folder:
        try:
            with standing(folder) as stage:
                problems = _play(stage, transcript)
            transcript.next()
        except StageError as failed:
            transcript.failure(str(failed))
            problems = (str(failed),)
        if keep:
            transcript.kept(folder)
    return 1 if problems else 0


def _play(stage: Stage, transcript: Transcript) -> tuple[str, ...]:
    transcript.opening()
    results: list[Result] = []
    for chapter in chapters(stage):
        transcript.chapter(chapter.title)
        for result in _play_chapter(stage, chapter):
            transcript.step(result)
            if result.step.explained and result.refusals:
                transcript.explanation(stage.explain(result.refusals[0].refusal_id))
            results.append(result)
    seen = stage.archive.seen
    problems = overall_problems(results, seen)
    transcript.archive_log(seen)
    transcript.closing(results, seen, problems)
    return problems


def _play_chapter(stage: Stage, chapter: Chapter) -> list[Result]:
    """Play every step, then look up in the gate's records what it refused meanwhile."""
    played = [_play_step(stage, step) for step in chapter.steps]
    deadline = monotonic() + RECORDED_WITHIN
    while True:
        results = _with_refusals(played, stage.refusals())
        late = any(result.step.refused and not result.refusals and not result.not_run for result in results)
        if not late or monotonic() > deadline:
            return results
        sleep(0.1)


def _play_step(stage: Stage, step: Step) -> Result:
    sleep(APART)
    began = time()
    if step.cannot_run:
        return Result(step, began, not_run=step.cannot_run)
    before = len(stage.archive.seen)
    try:
        answers = step.act()
    except (OSError, RuntimeError, ValueError) as error:
        # what pynetdicom raises when an association ended under it or lacks the context: this step failed, no more
        answers = (Unexpected(f"{type(error).__name__}: {error}"),)
    return Result(step, began, answers, stage.archive.seen[before:])


def _with_refusals(results: Sequence[Result], refusals: Sequence[Refusal]) -> list[Result]:
    """Give each result the refusals recorded from its beginning until the next one began."""
    begins = [_milliseconds(result.began) for result in results]
    return [
        replace(result, refusals=tuple(r for r in refusals if begin <= _milliseconds(r.time) < end))
        for result, begin, end in zip(results, begins, [*begins[1:], sys.maxsize], strict=True)
    ]


def _milliseconds(seconds: float) -> int:
    """Cut off, as in the records; the microseconds in between are there because no float holds .027 exactly."""
    return round(seconds * 1_000_000) // 1000


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(mkdtemp(prefix="dicomgate-demo-"))
        return
    with TemporaryDirectory(prefix="dicomgate-demo-") as name:
        yield Path(name)
