"""What a verified user may do: groups become roles, and roles allow verbs at some hours, places and SOP classes."""

from datetime import datetime

from dicomgate.identity.principal import Principal
from dicomgate.policy.model import Archive, Role, Verb
from dicomgate.policy.verbs import is_storage


def roles_of(principal: Principal, roles: tuple[Role, ...], archive: Archive) -> tuple[Role, ...]:
    """The roles that this user has at this archive, in the order of the file."""
    groups = {_comparable(group) for group in principal.groups}
    return tuple(
        role
        for role in roles
        if (role.archives is None or archive.name in role.archives)
        and (role.name in principal.roles or any(_comparable(group) in groups for group in role.groups))
    )


def in_force(roles: tuple[Role, ...], at: float) -> tuple[Role, ...]:
    """Those that hold at this moment (seconds since 1970); hours are read in the gate's local time."""
    if all(role.hours is None for role in roles):
        return roles
    local = datetime.fromtimestamp(at)  # the hours of a hospital are those on its wall
    minute = local.hour * 60 + local.minute
    return tuple(
        role
        for role in roles
        if role.hours is None or any(hours.contains(local.weekday(), minute) for hours in role.hours)
    )


def allows(roles: tuple[Role, ...] | None, verb: Verb, sop_class_uid: str) -> bool:
    """May one of these roles do it to this SOP class? None stands for a peer whose users are not asked for."""
    if roles is None:
        return True
    for role in roles:
        if verb in role.may and (
            role.sop_classes is None or not is_storage(sop_class_uid) or sop_class_uid in role.sop_classes
        ):
            return True
    return False


def _comparable(group: str) -> str:
    """A distinguished name without regard to case and outer spaces (RFC 4518); any other word as it is."""
    if "=" not in group:
        return group
    parts = (part.partition("=") for part in group.split(","))
    return ",".join(f"{name.strip()}={value.strip()}" for name, _, value in parts).casefold()
