"""The response that refuses a request: its right status, and the refusal ID where DICOM has room (PS3.7 C.5)."""

from dicomgate.policy.verdict import Deny
from dicomgate.wire.codes import Status
from dicomgate.wire.command import Command
from dicomgate.wire.text import is_valid_uid


def refusing_response(request: Command, denied: Deny, refusal_id: str) -> Command:
    """In: the refused request and why. Out: its response, without a data set.

    The reason stays in the record: a stranger learns the ID, which only the administrator can look up.
    """
    status = denied.answer if isinstance(denied.answer, int) else Status.NOT_AUTHORIZED
    return Command(
        command_field=request.command_field.response,
        has_data_set=False,
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=_repeat(request.sop_class_uid),
        affected_sop_instance_uid=_repeat(request.sop_instance_uid),
        status=status,
        error_comment=f"refused by dicomgate, refusal ID {refusal_id}",
    )


def _repeat(uid: str | None) -> str | None:
    """A UID is repeated only when it is one."""
    return uid if uid and is_valid_uid(uid) else None
