"""Whatever a file holds: a Configuration, or a ConfigurationError that is fit to print. Never anything else."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.config import schema
from dicomgate.config.document import read_document
from dicomgate.config.load import Configuration, interpret, load
from dicomgate.config.problem import ConfigurationError, Problem, Severity, is_secret, shown

MARK = "hunter2"

KEYS = sorted({key for model in [*schema.TABLES.values(), *schema.ARRAYS.values()] for key in model.model_fields})
PLAUSIBLE = [
    *(
        "any",
        "self",
        "main",
        "ct-1",
        "inside",
        "CT1",
        "CT*",
        "ARCHIVE",
        "10.1.0.0/16",
        "10.1.2.31",
        "0.0.0.0/0",
        "::/0",
    ),
    *("10.1.1.5:104", "127.0.0.1:0", "[::1]:104", "localhost:104", "archive.example:104", "user", "device", "address"),
    *(
        "echo",
        "move",
        "keep",
        "strip",
        "local",
        "syslog",
        "monitor",
        "uniform",
        "continue",
        "sqlite:///g.db",
        "1 MiB",
        "1 s",
    ),
    *("CTImageStorage", "JPEG2000Lossless", "1.2.3", "", " ", "\0", "\x1b[31m", 'a"b', "ü", "x" * 300),
]

scalars: st.SearchStrategy[Any] = (
    st.sampled_from(PLAUSIBLE)
    | st.text(max_size=20)
    | st.integers()
    | st.just(10**4000)
    | st.floats()
    | st.booleans()
    | st.just(datetime.date(2024, 1, 1))
    | st.just(datetime.time(1, 2))
)
keys = (
    st.sampled_from(KEYS)
    | st.sampled_from(["pass\nword", "model_config", "__class__", "", "certificate", "ca"])
    | st.text(max_size=9)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=8
)
sections = st.sampled_from([*schema.TABLES, *schema.ARRAYS]) | st.text(max_size=9)
anything = st.dictionaries(sections, values, max_size=6)


def nearly(model: type[schema.Table]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with known keys and values that are often right."""
    sensible = st.sampled_from(PLAUSIBLE) | st.lists(st.sampled_from(PLAUSIBLE), max_size=3) | values
    return st.fixed_dictionaries({}, optional=dict.fromkeys(model.model_fields, sensible))


plausible = st.fixed_dictionaries(
    {name: st.lists(nearly(schema.ARRAYS[name]), min_size=1, max_size=3) for name in ("listener", "archive", "peer")},
    optional={
        **{name: nearly(model) for name, model in schema.TABLES.items()},
        **{name: st.lists(nearly(schema.ARRAYS[name]), max_size=2) for name in ("role", "verifier", "sink")},
    },
)


def tables(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


names = st.sampled_from(["a", "b", "c"])
titles = st.sampled_from(["A", "B?", "*", "CT*", "CT1", "X"])
networks = st.lists(st.sampled_from(["any", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "::/0", "fd00::/64"]), max_size=3)
verbs = st.lists(st.sampled_from(["echo", "store", "move"]), max_size=3)
places = st.sampled_from(["10.1.1.1:104", "127.0.0.1:0", "[::1]:104", "0.0.0.0:104", "[fd00::1]:105"])
listeners = tables({"name": names, "bind": places, "networks": networks})
archives = tables(
    {"name": names, "ae_title": names, "address": st.sampled_from(["10.9.9.9:104", "pacs:104"])}, networks=networks
)
peers = tables(
    {"name": names, "ae_titles": st.lists(titles, max_size=2), "networks": networks, "may": verbs},
    assurance=st.sampled_from(["user", "address"]),
    listeners=st.lists(names, max_size=2),
    archive=names | st.lists(names, max_size=2),
    move_to=st.lists(names | st.just("self") | st.just("WS"), max_size=2),
    address=st.sampled_from(["10.2.2.2:104", "ws:104"]),
)
right = tables(
    {
        "listener": st.lists(listeners, min_size=1, max_size=3, unique_by=lambda table: str(table["name"])),
        "archive": st.lists(archives, min_size=1, max_size=2, unique_by=lambda table: str(table["name"])),
        "peer": st.lists(peers, max_size=4, unique_by=lambda table: str(table["name"])),
    },
    role=st.lists(tables({"name": names, "may": verbs}), max_size=1),
)
secrets: st.SearchStrategy[Any] = st.recursive(
    st.just(MARK), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2), max_leaves=3
)


def fit_to_print(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        assert problem.text
        assert problem.hint
        assert all(line.isprintable() for line in (problem.key, problem.text, problem.hint)), problem
        assert len(problem.text) < 400


def judge(data: dict[str, Any]) -> Configuration | None:
    found: Configuration | None = None
    problems: tuple[Problem, ...] = ()
    try:
        found = interpret(data, "gate.toml", Path("/"))
        problems = found.warnings
    except ConfigurationError as error:
        problems = error.problems
    assert (found is None) is any(problem.severity is Severity.ERROR for problem in problems)
    fit_to_print(problems)
    return found


@given(anything)
def test_random_tables(data: dict[str, Any]) -> None:
    judge(data)


@given(plausible)
def test_random_values_of_known_keys(data: dict[str, Any]) -> None:
    judge(data)


@given(
    st.sampled_from(["listener", "archive", "sink", "peer", "gate"]),
    secrets,
    st.sampled_from(["passcode", "client_secret", "token", "KEY", "tls"]),
)
def test_secrets_stay_unseen(section: str, value: object, key: str) -> None:
    written = {"certificate": "a", "ca": "a", "key": value} if key == "tls" else value
    table = {"name": "x", key: written}
    with pytest.raises(ConfigurationError) as caught:
        interpret({section: table if section == "gate" else [table]}, "gate.toml", Path("/"))
    assert MARK not in str(caught.value)


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_random_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    fit_to_print(caught.value.problems)


def test_numbers_that_python_will_not_print() -> None:
    judge({"gate": {"mode": 10**5000}, "limits": {"pdu": 10**5000, "idle": 10**5000, "associations": -(10**5000)}})


def test_a_wrong_key_does_not_hide_the_others() -> None:
    data = {"peer": [{"name": "ct-1", "networks": ["x"], "listeners": ["y"], "may": ["z"]}]}
    document, problems = read_document(data, "gate.toml")
    (peer,) = document.peers
    assert peer.broken == {"networks", "may"}
    assert peer.table.listeners == ["y"]
    assert peer.written("may")
    assert not peer.written("archive")
    assert [problem.key for problem in problems] == ["peer[ct-1].networks", "peer[ct-1].may"]


def test_values_are_shown_short_and_on_one_line() -> None:
    assert shown("a\nb") == '"a\\nb"'
    assert shown("x" * 1000) == '"' + "x" * 60 + '…"'
    assert shown(10**5000) == "a very large integer"
    values: list[object] = [True, 1, 1.5, {}, [], [1], datetime.date(2024, 1, 1)]
    words = ["true", "1", "1.5", "a table", "an empty array", "an array", "a date or time"]
    assert [shown(value) for value in values] == words


def test_keys_of_secrets_are_known_by_their_end() -> None:
    assert all(is_secret(key) for key in ("key", "PASSCODE", "client_secret", "access_token", "password"))
    assert not any(is_secret(key) for key in ("key_file", "keys", "name"))
