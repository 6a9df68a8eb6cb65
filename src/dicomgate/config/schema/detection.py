"""`[detect]`: what attacks look like, and what is done about them."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PlainValidator, create_model

from dicomgate.config import words
from dicomgate.config.problem import WrongValueError, shown
from dicomgate.config.schema.fields import DAY, Count, Table, Title, seconds_up_to
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.model import Rung
from dicomgate.detect.settings import DetectSettings, RuleMode

LARGEST_NUMBER = 10**15


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST_NUMBER:
        raise WrongValueError(
            f"expected a number above 0 and up to {LARGEST_NUMBER}, came {shown(value)}",
            "write a number without quotes",
        )
    return float(value)


_RUNGS = {rung.word: rung for rung in Rung}
RungWord = Annotated[Rung, PlainValidator(words.one_of(_RUNGS))]
RuleModeWord = Annotated[RuleMode, PlainValidator(words.one_of({mode.value: mode for mode in RuleMode}))]
Titles = list[Title]


class DetectRule(Table):
    """`[detect.rules.D01]`: one detector's own settings."""

    mode: RuleModeWord | None = Field(
        default=None, description="off, simulate or respond. Absent: as `mode` of [detect]."
    )
    action: RungWord | None = Field(
        default=None,
        description=f"What is done: {', '.join(_RUNGS)}. Absent: as the detector has it.",
    )
    threshold: Annotated[float, PlainValidator(_number)] | None = Field(
        default=None, description="How many it takes, in the detector's own unit. Absent: as the detector has it."
    )
    window: Annotated[float, PlainValidator(seconds_up_to(30 * DAY))] | None = Field(
        default=None, description="Within which time. Absent: as the detector has it."
    )
    duration: Annotated[float, PlainValidator(seconds_up_to(30 * DAY))] | None = Field(
        default=None, description="How long its action holds. Absent: as the detector has it."
    )


if TYPE_CHECKING:

    class DetectRules(Table):
        """One key for each detector of the catalogue; made below, because they are listed there."""

else:
    DetectRules = create_model(
        "DetectRules",
        __base__=Table,
        __doc__="`[detect.rules]`: one detector each. Absent: the detector as it is.",
        **{each.id: (DetectRule | None, Field(default=None, description=f"{each.title}.")) for each in DETECTORS},
    )
_DETECT = DetectSettings()


class DetectTable(Table):
    """`[detect]`: what attacks look like, and what is done about them."""

    mode: RuleModeWord = Field(
        default=_DETECT.mode,
        description="off; simulate: find and alert, and only record what else would be done; respond: do it. "
        "For all detectors without a mode of their own.",
    )
    at_most: RungWord = Field(
        default=_DETECT.at_most,
        description=f"The furthest that any detector may go: {', '.join(_RUNGS)}.",
    )
    learn: Annotated[float, PlainValidator(seconds_up_to(90 * DAY))] = Field(
        default=_DETECT.learn, description="How long records are watched before what was seen counts as usual."
    )
    delay: Annotated[float, PlainValidator(seconds_up_to(60))] = Field(
        default=_DETECT.delay, description="How long a connection is held by the action `delay`."
    )
    cap: Count = Field(
        default=_DETECT.cap, description="Associations a party may have open at a time under the action `cap`."
    )
    firewall: bool = Field(
        default=False,
        description="true: banned addresses are also closed out by the nftables table of `dicomgate segment apply`.",
    )
    honey_titles: Titles = Field(
        default=[], description="Array of AE titles that nobody has a reason to use or to send to."
    )
    honey_users: list[str] = Field(default=[], description="Array of user names that nobody has.")
    honey_instances: list[Annotated[str, PlainValidator(words.uid)]] = Field(
        default=[], description="Array of SOP Instance UIDs that nobody has a reason to touch."
    )
    rules: DetectRules | None = Field(
        default=None, description="Table: settings of single detectors, such as [detect.rules.D05]."
    )
