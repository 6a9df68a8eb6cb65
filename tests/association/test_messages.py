"""Messages of one direction: commands whole and bounded, data sets in their place, nothing interleaved."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.association.messages import CommandReceived, Incomplete, MessageReader
from dicomgate.wire.codes import AbortReason, CommandField
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.framer import CommandFragment, DataRun
from dicomgate.wire.pdu import Malformed

ECHO = Command(CommandField.C_ECHO_RQ, False, affected_sop_class_uid="1.2.840.10008.1.1", message_id=1)
STORE = Command(
    CommandField.C_STORE_RQ,
    True,
    affected_sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    message_id=2,
    affected_sop_instance_uid="1.2.3",
)
ECHO_BYTES, STORE_BYTES = encode_command(ECHO), encode_command(STORE)


def reader(limit=1000):
    made = MessageReader(limit)
    made.contexts = frozenset({1, 3})
    return made


def data(context_id=1, last=True):
    return DataRun(context_id, b"", 0, last, True)


def unexpected(why):
    return Malformed(why, AbortReason.UNEXPECTED_PDU_PARAMETER)


def test_a_command_in_one_fragment():
    messages = reader()
    assert messages.fragment(CommandFragment(1, ECHO_BYTES, True)) == CommandReceived(1, ECHO)
    assert messages.between_messages


def test_a_command_in_many_fragments():
    messages = reader()
    for byte in ECHO_BYTES[:-1]:
        assert messages.fragment(CommandFragment(3, bytes([byte]), False)) is Incomplete.INCOMPLETE
        assert not messages.between_messages
    assert messages.fragment(CommandFragment(3, ECHO_BYTES[-1:], True)) == CommandReceived(3, ECHO)


def test_a_data_set_follows_only_where_it_was_announced():
    messages = reader()
    assert messages.fragment(CommandFragment(1, STORE_BYTES, True)) == CommandReceived(1, STORE)
    assert not messages.between_messages
    assert messages.run(data(last=False)) is None
    assert messages.run(data()) is None
    assert messages.between_messages
    assert messages.run(data()) == unexpected("data-set fragment on context 1 without a command that announced it")


def test_a_data_set_inside_a_command():
    messages = reader()
    messages.fragment(CommandFragment(1, STORE_BYTES[:10], False))
    assert messages.run(data()) == unexpected("data-set fragment on context 1 without a command that announced it")


def test_a_command_inside_a_data_set():
    messages = reader()
    messages.fragment(CommandFragment(1, STORE_BYTES, True))
    assert messages.fragment(CommandFragment(1, ECHO_BYTES, True)) == unexpected(
        "command fragment on context 1 inside a data set"
    )


def test_contexts_that_were_not_accepted():
    assert reader().fragment(CommandFragment(5, ECHO_BYTES, True)) == unexpected(
        "presentation context 5 was not accepted"
    )
    assert MessageReader(1000).fragment(CommandFragment(1, ECHO_BYTES, True)) == unexpected(
        "presentation context 1 was not accepted"
    )


def test_a_command_that_changes_its_context():
    messages = reader()
    messages.fragment(CommandFragment(1, ECHO_BYTES[:10], False))
    assert messages.fragment(CommandFragment(3, ECHO_BYTES[10:], True)) == unexpected(
        "context 3 interleaves with a message on context 1"
    )


def test_a_data_set_on_another_context_than_its_command():
    messages = reader()
    messages.fragment(CommandFragment(1, STORE_BYTES, True))
    assert messages.run(data(3)) == unexpected("context 3 interleaves with a message on context 1")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_command_set_over_the_limit_is_refused_before_it_is_kept(size):
    messages = reader(len(ECHO_BYTES) - 1)
    results = [
        messages.fragment(CommandFragment(1, ECHO_BYTES[at : at + size], at + size >= len(ECHO_BYTES)))
        for at in range(0, len(ECHO_BYTES), size)
    ]
    assert results[-1] == unexpected(f"command set longer than {len(ECHO_BYTES) - 1} bytes")
    assert all(result is Incomplete.INCOMPLETE for result in results[:-1])


def test_a_command_set_as_long_as_the_limit_passes():
    assert reader(len(ECHO_BYTES)).fragment(CommandFragment(1, ECHO_BYTES, True)) == CommandReceived(1, ECHO)


def test_an_empty_command_set_is_malformed():
    assert isinstance(reader().fragment(CommandFragment(1, b"", True)), Malformed)


frames = st.one_of(
    st.builds(CommandFragment, st.sampled_from([1, 3, 5]), st.binary(max_size=30), st.booleans()),
    st.builds(CommandFragment, st.sampled_from([1, 3]), st.sampled_from([ECHO_BYTES, STORE_BYTES]), st.just(True)),
    st.builds(DataRun, st.sampled_from([1, 3, 5]), st.just(b""), st.integers(0, 5), st.booleans(), st.booleans()),
)


@settings(max_examples=100)
@given(st.lists(frames, max_size=8))
def test_any_frames_make_messages_or_a_reason(arrived):
    messages = reader(60)
    for frame in arrived:
        match frame:
            case CommandFragment():
                result = messages.fragment(frame)
                assert isinstance(result, CommandReceived | Incomplete | Malformed)
                if isinstance(result, CommandReceived):
                    assert messages.between_messages is not result.command.has_data_set
            case DataRun():
                result = messages.run(frame)
                assert result is None or isinstance(result, Malformed)
                if result is None:
                    assert messages.between_messages is frame.last
        if isinstance(result, Malformed):
            return
