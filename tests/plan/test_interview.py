"""The interview asks what a file would say, asks again after a wrong answer, and writes such a file."""

from dicomgate.config.load import parse
from dicomgate.plan.answers import Answers, read
from dicomgate.plan.interview import Interview

SAID = {
    "What is your site called?": "north-clinic",
    "Which inside address will the gate have?": "10.1.1.5",
    "Which networks does your site have?": "10.1.0.0/16 10.2.0.0/16",
    "Where does the archive stand: here or elsewhere?": "elsewhere",
    "What is its AE title?": "ARCHIVE",
    "At which address and port does it listen?": "10.20.1.20:11112",
    "What is the place called where the archive stands?": "cloud",
    "Which networks does it have?": "10.20.1.0/24",
    "Can a tunnel be made between the two sites: yes, no or unknown?": "yes",
    "From where does it come: inside or outside?": "inside",
    "Which AE titles does it call itself?": "CT1",
    "Which static addresses does it call from? Absent: they change.": "10.1.2.31",
}


def interviewed(said: dict[str, str], parties: list[str]) -> tuple[Answers, list[str]]:
    interview, mistakes, more = Interview(), [], list(parties)
    while (question := interview.next()) is not None:
        if question.key == "more":
            answer = more.pop(0) if more else ""
        elif question.text.startswith("What does it need"):
            answer = "echo store"
        else:
            answer = said.get(question.text, question.default)
        mistake = interview.answer(answer)
        if mistake is not None:
            mistakes.append(f"{question.key}: {mistake}")
            said = SAID
    return read(parse(interview.toml(), "answers.toml"), "answers.toml"), mistakes


def test_it_writes_what_was_answered() -> None:
    answers, mistakes = interviewed(SAID, ["ct-1", "ct-2"])
    assert mistakes == []
    assert answers.site.networks == ["10.1.0.0/16", "10.2.0.0/16"]
    assert answers.elsewhere is not None
    assert [party.name for party in answers.party] == ["ct-1", "ct-2"]
    assert answers.party[0].does == ["echo", "store"]
    assert answers.site.public is None


def test_an_archive_here_ends_the_questions_about_elsewhere() -> None:
    here = SAID | {"Where does the archive stand: here or elsewhere?": "here"}
    answers, _ = interviewed(here | {"At which address and port does it listen?": "10.1.1.20:11112"}, [])
    assert answers.elsewhere is None
    assert answers.party == []


def test_a_wrong_answer_is_asked_again() -> None:
    answers, mistakes = interviewed(SAID | {"Which inside address will the gate have?": "gate.example"}, [])
    assert str(answers.site.gate) == "10.1.1.5"
    assert mistakes == [
        'gate: expected the literal address of a machine, came "gate.example"; write for instance "10.1.1.5"'
    ]
    _, mistakes = interviewed(SAID | {"What is your site called?": " "}, [])
    assert mistakes == ["name: an answer is needed"]
