"""The questions of `dicomgate plan`, one after another; answers in, TOML out. Pure: asking is the command line's.

The questions are the descriptions of the fields in answers.py, so that a file and an interview hold the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dicomgate.config.problem import WrongValueError
from dicomgate.plan import answers
from dicomgate.plan.toml import Value, table

LISTS = frozenset({"networks", "ae_titles", "does", "imaging", "guests", "administrators"})
"""Answers that are several words; they are asked for with spaces between them."""
_DONE = ""
_WHO = "Who needs access: a device, a department, a company, the readers at home? A name; nothing for nobody."
_WHO_ELSE = "Who else needs access? A name; nothing when that is all."
INTRODUCTION = (
    "One line for each answer; several values with spaces between them. An empty line takes what stands in brackets,"
    " and otherwise means: there is none, or it changes."
)
"""What is said before the first question."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask. An empty answer takes the default, "" when there is none."""

    header: str
    key: str
    text: str
    default: str


@dataclass
class Interview:
    """One run through the questions. `next` asks, `answer` takes; a mistake is told and asked again."""

    tables: list[tuple[str, dict[str, Value | None]]] = field(default_factory=list)
    directory: str = "none"
    _pending: Iterator[Question] | None = None
    _asked: Question | None = None

    def next(self) -> Question | None:
        """The next question, or the last one again when its answer was wrong; None when all is known."""
        if self._pending is None:
            self._pending = self._questions()
        if self._asked is None:
            self._asked = next(self._pending, None)
        return self._asked

    def answer(self, said: str) -> str | None:
        """Take an answer; a sentence when it is not one."""
        question = self._asked
        if question is None:
            return None
        said = said.strip()
        words = said.split()
        value: Value | None = (words or None) if question.key in LISTS else (said or None)
        mistake = _mistake(question, value)
        if mistake is None:
            self._take(question, value)
            self._asked = None
        return mistake

    def toml(self) -> str:
        """The answers file."""
        parts = [table(header, keys) for header, keys in self.tables]
        return "\n".join([f'directory = "{self.directory}"\n', *parts])

    def _take(self, question: Question, value: Value | None) -> None:
        if question.header == "directory":
            self.directory = str(value)
        elif question.key != "more":
            self.tables[-1][1][question.key] = value
        elif value is not None:
            self.tables.append(("[[party]]", {"name": value}))

    def _questions(self) -> Iterator[Question]:
        yield from self._of_table("[site]", answers.SiteAnswers)
        yield from self._of_table("[archive]", answers.ArchiveAnswers)
        if self.tables[-1][1].get("where") == answers.Where.ELSEWHERE:
            yield from self._of_table("[elsewhere]", answers.ElsewhereAnswers)
        directory = answers.Answers.model_fields["directory"]
        yield Question("directory", "directory", str(directory.description), "none")
        while True:
            before = len(self.tables)
            yield Question("party", "more", _WHO if self.tables[-1][0] != "[[party]]" else _WHO_ELSE, _DONE)
            if len(self.tables) == before:
                return
            for key, found in answers.PartyAnswers.model_fields.items():
                if key != "name":
                    yield _question("[[party]]", key, found)

    def _of_table(self, header: str, model: type[BaseModel]) -> Iterator[Question]:
        self.tables.append((header, {}))
        for key, found in model.model_fields.items():
            yield _question(header, key, found)


def _question(header: str, key: str, found: FieldInfo) -> Question:
    default = "" if found.default in (None, PydanticUndefined) else str(found.default)
    return Question(header, found.alias or key, str(found.description), default)


_MODELS: dict[str, type[BaseModel]] = {
    "[site]": answers.SiteAnswers,
    "[archive]": answers.ArchiveAnswers,
    "[elsewhere]": answers.ElsewhereAnswers,
    "[[party]]": answers.PartyAnswers,
    "party": answers.PartyAnswers,
    "directory": answers.Answers,
}


def _mistake(question: Question, value: Value | None) -> str | None:
    """Why this value is no answer to this question; other questions are not looked at."""
    key = "name" if question.key == "more" else question.key
    if value is None:
        required = next(
            found.is_required()
            for name, found in _MODELS[question.header].model_fields.items()
            if key in (name, found.alias)
        )
        return "an answer is needed" if required and question.key != "more" else None
    try:
        _MODELS[question.header].model_validate({key: value})
    except ValidationError as wrong:
        for detail in wrong.errors(include_url=False):
            if detail["loc"][0] == key:
                error = detail.get("ctx", {}).get("error")
                return f"{error.text}; {error.hint}" if isinstance(error, WrongValueError) else detail["msg"]
    return None
