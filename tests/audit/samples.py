"""Records for the tests of everything that is made of them: one or more for each event, and hostile ones."""

from __future__ import annotations

from hypothesis import strategies as st

from dicomgate.audit.record import Event, Outcome, Record

TIME = 1_795_000_000.25
HOSTILE = '\r\n<14>1 - - - - - forged\x00\x1b[31m</UserID>"&\u202e\ud800\uffff\u2028<!--'

_ASSOCIATED: dict[str, object] = {
    "association": "6b02-1",
    "listener": "outside",
    "address": "10.1.2.31",
    "port": 40000,
    "calling_ae_title": "CT1",
    "called_ae_title": "ARCHIVE",
    "peer": "ct-1",
    "archive": "main",
    "assurance": "address",
}
_REFUSED: dict[str, object] = {"rule": "peer[ct-1].may", "reason": "store is not allowed", "refusal_id": "7K2MPQRS"}


def record(event: Event, outcome: Outcome = Outcome.SUCCESS, **fields: object) -> Record:
    return Record(TIME, event, outcome, **fields)  # type: ignore[arg-type]


def operation(command: str, outcome: Outcome = Outcome.SUCCESS, **fields: object) -> Record:
    values: dict[str, object] = {
        **_ASSOCIATED,
        "command": command,
        "verb": command.split("_")[1].lower(),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "bytes": 524288,
        "status": "0000",
        "duration": 1.5,
        "detail": {"sender": "requestor", "responses": 1},
        **fields,
    }
    return record(Event.OPERATION, outcome, **values)


_OF_A_PATIENT = {
    "study_instance_uid": "1.2.3",
    "patient": "51c77232:9f86d081884c7d659a2feaa0c55ad015",
    "sealed_patient": "c2VhbGVk",
}
STORED = operation("C_STORE_RQ", sop_instance_uid="1.2.3.4")
KNOWN = operation("C_STORE_RQ", sop_instance_uid="1.2.3.4", series_instance_uid="1.2.3.1", **_OF_A_PATIENT)
FOUND = operation("C_FIND_RQ")
SOUGHT = operation("C_FIND_RQ", **_OF_A_PATIENT, detail={"sender": "requestor", "query_level": "STUDY"})
MOVED = operation(
    "C_MOVE_RQ",
    move_destination="VIEWER",
    user="alice",
    detail={"sender": "requestor", "completed_sub_operations": 7, "failed_sub_operations": 0},
)

ONE_OF_EACH: tuple[Record, ...] = (
    record(Event.GATE_STARTED, detail={"gate": "north", "version": "1"}),
    record(Event.GATE_STOPPED),
    record(Event.CONFIGURATION_LOADED),
    record(Event.CONFIGURATION_REFUSED, Outcome.FAILURE, reason="gate.toml:listener: error: missing"),
    record(
        Event.CONNECTION_REFUSED,
        Outcome.REFUSED,
        **_REFUSED,
        listener="outside",
        address="203.0.113.9",
        port=1,
        detail={"repeated": 300, "seconds": 10.0},
    ),
    record(Event.ASSOCIATION_REQUESTED, **_ASSOCIATED),
    record(Event.IDENTITY_VERIFIED, **_ASSOCIATED, user="alice", detail={"proof": "passcode by staff", "groups": 2}),
    record(Event.IDENTITY_REFUSED, Outcome.REFUSED, **_ASSOCIATED, **_REFUSED, detail={"cause": "unknown_user"}),
    record(Event.ASSOCIATION_ADMITTED, **_ASSOCIATED, detail={"direction": "to_archive"}),
    record(Event.ASSOCIATION_ADMITTED, Outcome.WOULD_REFUSE, **_ASSOCIATED, rule="peer[ct-1].networks", reason="no"),
    record(Event.ASSOCIATION_REFUSED, Outcome.REFUSED, **_ASSOCIATED, **_REFUSED, status="1/1/3"),
    record(Event.ASSOCIATION_ENDED, **_ASSOCIATED, bytes=10, duration=2.0),
    record(Event.ASSOCIATION_ENDED, Outcome.FAILURE, **_ASSOCIATED, status="abort 2/1", reason="the connection broke"),
    STORED,
    KNOWN,
    FOUND,
    SOUGHT,
    MOVED,
    operation("C_ECHO_RQ"),
    operation("C_GET_RQ"),
    operation("N_CREATE_RQ"),
    operation("N_ACTION_RQ", Outcome.FAILURE, status="0110"),
    operation("C_STORE_RQ", Outcome.WOULD_REFUSE, rule="peer[ct-1].may", reason="store is not allowed"),
    record(Event.OPERATION_REFUSED, Outcome.REFUSED, **_ASSOCIATED, **_REFUSED, verb="store", status="0124"),
    record(Event.INSTANCE_CHANGED, Outcome.REFUSED, **_ASSOCIATED, **_REFUSED, verb="store", status="0124"),
    record(Event.AUDIT_LOG_USED, detail={"action": "search", "operator": "root"}),
    record(Event.RECORDS_LOST, Outcome.FAILURE, reason="the queue was full", detail={"count": 12}),
    record(Event.USER_CHANGED, user="alice", detail={"operator": "root", "change": "passwd"}),
    record(Event.USER_LOCKED_OUT, Outcome.REFUSED, user="alice", address="203.0.113.9", reason="too many failures"),
    record(Event.EMERGENCY_STARTED, user="alice", reason="the directory is down"),
    record(Event.EMERGENCY_USED, **_ASSOCIATED, user="alice"),  # type: ignore[arg-type]
    record(Event.EMERGENCY_ENDED, user="alice"),
    record(Event.RECORDS_PRUNED, reason="older than audit.keep", detail={"first": 1, "last": 900}),
    record(Event.CHECKPOINT_CONFLICT, Outcome.FAILURE, reason="the checkpoint file knows 9 records, the store has 3"),
    record(Event.PSEUDONYM_KEY_ROTATED),
    record(Event.SEGMENT_CHANGED, Outcome.REFUSED, reason="nobody confirmed the rules on trial"),
    record(Event.SEGMENT_VERIFIED, Outcome.FAILURE, reason="2 flows are open that the plan closes"),
    record(Event.SINK_FAILED, Outcome.FAILURE, reason="10.1.1.30:6514: timed out", detail={"sink": "repository"}),
    record(Event.CHANNEL_UP, detail={"channel": "cloud"}),
    record(Event.CHANNEL_DOWN, Outcome.FAILURE, reason="there is no IKE SA", detail={"channel": "cloud"}),
    record(Event.SINK_RECOVERED, detail={"sink": "repository"}),
    record(
        Event.FINDING,
        Outcome.REFUSED,
        rule="D02",
        reason="10.1.9.9 was refused with 4 different called AE titles within 10 min",
        address="10.1.9.9",
        detail={"severity": "high", "technique": "T1087", "subject": "10.1.9.9", "evidence": {"count": 4}},
    ),
    record(Event.BAN_PLACED, rule="D02", address="10.1.9.9", detail={"subject": "10.1.9.9", "answer": "ban"}),
    record(Event.BAN_LIFTED, rule="D02", address="10.1.9.9", reason="its time is over"),
    record(Event.DETECTION_DEGRADED, Outcome.FAILURE, rule="D02", reason="switched off: KeyError"),
)

_TEXTS = [name for name, kind in Record.__annotations__.items() if kind in (str | None, "str | None")]


def spoiled(sound: Record) -> Record:
    """Every text of it replaced by what breaks logs, XML and terminals."""
    texts = {name: HOSTILE for name in _TEXTS if getattr(sound, name) is not None and name != "command"}
    return sound._replace(**texts, detail={**sound.detail, HOSTILE: HOSTILE})  # type: ignore[arg-type]


_text = st.one_of(st.none(), st.text(max_size=30), st.just("x" * 3000), st.just(HOSTILE), st.sampled_from(["", "A;B"]))
_commands = st.sampled_from([r.command for r in ONE_OF_EACH if r.command] + ["N_GET_RQ", "C_FIND_RQ"]) | _text
any_record = st.builds(
    Record,
    st.floats(0, 4e9),
    st.sampled_from(Event),
    st.sampled_from(Outcome),
    **{name: _commands if name == "command" else _text for name in _TEXTS},
    bytes=st.none() | st.integers(0, 2**62),
    duration=st.none() | st.floats(0, 1e6),
    detail=st.dictionaries(
        st.sampled_from(["direction", "sender", "completed_sub_operations", "failed_sub_operations", "x"]),
        st.sampled_from(["to_peer", "acceptor", 3, 0, None, [HOSTILE], {"a": 1}]),
        max_size=5,
    ),
)
