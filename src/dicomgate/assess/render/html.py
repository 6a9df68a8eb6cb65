"""A report as one HTML file: no script, nothing from elsewhere, light and dark, and it prints to a clean PDF."""

from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from dicomgate.assess.advice import GATE, remedies_for
from dicomgate.assess.model import Outcome
from dicomgate.assess.render.page_one import (
    STATES,
    change_words,
    counts,
    grade,
    outcome_words,
    question_words,
    score_words,
    unknown_words,
    verdict,
)
from dicomgate.assess.report import Report
from dicomgate.assess.score import RUBRIC


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["utc"] = lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%d %B %Y, %H:%M} UTC"
    environment.globals.update(
        STATES=STATES,
        GATE=GATE,
        RUBRIC=RUBRIC,
        Outcome=Outcome,
        remedies_for=remedies_for,
        verdict=verdict,
        grade=grade,
        score_words=score_words,
        unknown_words=unknown_words,
        question_words=question_words,
        counts=counts,
        change_words=change_words,
        outcome_words=outcome_words,
    )
    source = files("dicomgate.assess").joinpath("data", "report.html.j2").read_text("utf-8")
    return environment.from_string(source)


def html(report: Report) -> str:
    """The whole page."""
    return _template().render(report=report, assessment=report.assessment)
