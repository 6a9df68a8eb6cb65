"""Frames of one direction in, DIMSE messages out: commands whole and bounded, data sets as they stream.

PS3.8 E.1: the fragments of a message share one context, and messages of one direction never interleave.
"""

from dataclasses import dataclass
from enum import Enum, auto

from dicomgate.wire.codes import AbortReason
from dicomgate.wire.command import Command, decode_command
from dicomgate.wire.framer import CommandFragment, DataRun
from dicomgate.wire.pdu import Malformed


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command set; when `command.has_data_set`, runs of the same context follow."""

    context_id: int
    command: Command


class Incomplete(Enum):
    """More fragments of the command set are due."""

    INCOMPLETE = auto()


class MessageReader:
    """Follows the messages of one direction. `contexts` are the IDs both sides agreed on."""

    __slots__ = ("_awaiting_data", "_command", "_context", "_limit", "contexts")

    def __init__(self, limit: int) -> None:
        self.contexts: frozenset[int] = frozenset()
        self._limit = limit
        self._command = bytearray()
        self._context = 0  # of the message under way; 0 between messages
        self._awaiting_data = False

    @property
    def between_messages(self) -> bool:
        return self._context == 0

    @property
    def held(self) -> int:
        """Bytes of a command set whose rest is due."""
        return len(self._command)

    def fragment(self, frame: CommandFragment) -> CommandReceived | Incomplete | Malformed:
        """Take a piece of a command set."""
        if self._awaiting_data:
            return _unexpected(f"command fragment on context {frame.context_id} inside a data set")
        if self._context == 0:
            if frame.context_id not in self.contexts:
                return _unexpected(f"presentation context {frame.context_id} was not accepted")
            self._context = frame.context_id
        elif frame.context_id != self._context:
            return _unexpected(f"context {frame.context_id} interleaves with a message on context {self._context}")
        if len(self._command) + len(frame.data) > self._limit:
            return _unexpected(f"command set longer than {self._limit} bytes")
        self._command += frame.data
        if not frame.last:
            return Incomplete.INCOMPLETE
        command = decode_command(bytes(self._command))
        self._command.clear()
        if isinstance(command, Malformed):
            return command
        context_id = self._context
        self._awaiting_data = command.has_data_set
        if not self._awaiting_data:
            self._context = 0
        return CommandReceived(context_id, command)

    def run(self, frame: DataRun) -> Malformed | None:
        """Take a stretch of a data set; None when it belongs here."""
        if not self._awaiting_data:
            return _unexpected(f"data-set fragment on context {frame.context_id} without a command that announced it")
        if frame.context_id != self._context:
            return _unexpected(f"context {frame.context_id} interleaves with a message on context {self._context}")
        if frame.last:
            self._awaiting_data = False
            self._context = 0
        return None


def _unexpected(why: str) -> Malformed:
    return Malformed(why, AbortReason.UNEXPECTED_PDU_PARAMETER)
