"""Command sets: Implicit VR Little Endian, group 0000, known elements only (PS3.7 6.3.1, 9.3, 10.3, E.1)."""

from dataclasses import dataclass

from dicomgate.wire.codes import CommandField


@dataclass(frozen=True, slots=True)
class Command:
    """One command set. Elements that are absent on the wire are None; (0000,0000) is computed when encoding.

    `has_data_set` is (0000,0800): anything but 0101H announces a data set (PS3.7 E.1).
    UIDs are text without the trailing pad byte, AE titles without padding spaces.
    """

    command_field: CommandField
    has_data_set: bool
    affected_sop_class_uid: str | None = None
    requested_sop_class_uid: str | None = None
    message_id: int | None = None
    message_id_being_responded_to: int | None = None
    move_destination: str | None = None
    priority: int | None = None
    status: int | None = None
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    requested_sop_instance_uid: str | None = None
    event_type_id: int | None = None
    attribute_identifier_list: tuple[int, ...] | None = None
    action_type_id: int | None = None
    remaining_sub_operations: int | None = None
    completed_sub_operations: int | None = None
    failed_sub_operations: int | None = None
    warning_sub_operations: int | None = None
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None

    @property
    def sop_class_uid(self) -> str | None:
        """Affected or Requested SOP Class UID, whichever this message uses (PS3.7 10.3)."""
        return self.affected_sop_class_uid or self.requested_sop_class_uid

    @property
    def sop_instance_uid(self) -> str | None:
        """Affected or Requested SOP Instance UID, whichever this message uses (PS3.7 10.3)."""
        return self.affected_sop_instance_uid or self.requested_sop_instance_uid
