"""`dicomgate break-glass`: an emergency role for one user, for a reason and a time; recorded, and said loudly."""

import json
import secrets
import sys
import time
from typing import Annotated

import typer

from dicomgate.audit.record import iso_time
from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, operator, say
from dicomgate.config.load import Configuration, load
from dicomgate.config.problem import WrongValueError, closest, listed
from dicomgate.config.units import DURATIONS, seconds
from dicomgate.identity.claims import LONGEST_NAME
from dicomgate.identity.emergency import LONGEST_GRANT, LONGEST_REASON, Grant
from dicomgate.identity.names import folded
from dicomgate.store.database import open_store
from dicomgate.store.grants import EmergencyGrants
from dicomgate.store.users import Users
from dicomgate.wire.text import is_plain_text

SHORTEST_GRANT = 60.0


def break_glass(
    config: ConfigFile,
    user: Annotated[str | None, typer.Argument(metavar="[USER]", help="The user, as records name them.")] = None,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="A [[role]] with emergency = true.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it is recorded. Name no patient.")] = None,
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h; at most 24h.")] = "30m",
    listing: Annotated[bool, typer.Option("--list", help="Show all grants instead, also those that are over.")] = False,
    revoke: Annotated[str | None, typer.Option(metavar="ID", help="End a grant now instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a user an emergency role for some time."""
    configuration = load(config, files=False)
    granting = any(value is not None for value in (user, role, reason))
    if granting + listing + (revoke is not None) != 1:
        fail("give USER with --role and --reason, or --list, or --revoke ID", "see dicomgate break-glass --help")
    engine = open_store(configuration.state, configuration.base)
    try:
        grants = EmergencyGrants(engine)
        if listing:
            _list(grants.all(), as_json)
        elif revoke is not None:
            _revoke(grants, revoke)
        else:
            grant = _grant(configuration, user, role, reason, duration)
            grants.begin(grant)
            only_local = configuration.identity.verifiers == (configuration.identity.local,)
            if only_local and Users(engine).find(grant.user) is None:
                print(f"no local user is called {grant.user}; is it spelled as in the records?", file=sys.stderr)
            _announce(grant, as_json)
    finally:
        engine.dispose()


def _grant(
    configuration: Configuration, user: str | None, role: str | None, reason: str | None, duration: str
) -> Grant:
    if user is None or role is None or reason is None:
        fail("expected USER, --role and --reason", "an emergency access without a reason cannot be given")
    name = folded(user)
    if not name or len(name) > LONGEST_NAME or not is_plain_text(name):
        fail("expected the name of a user", "write it as records name the user")
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON or not is_plain_text(reason):
        fail(f"--reason: expected 1 to {LONGEST_REASON} printable characters", "say what happened; name no patient")
    now = time.time()
    return Grant(
        id=secrets.token_hex(4),
        user=name,
        role=_emergency_role(role, configuration),
        reason=reason,
        operator=operator(),
        granted=now,
        ends=now + _seconds(duration),
    )


def _emergency_role(name: str, configuration: Configuration) -> str:
    known = {role.name: role for role in configuration.settings.rules.roles}
    emergency = [role.name for role in known.values() if role.emergency]
    if name not in known:
        meant = closest(name, emergency)
        hint = f"did you mean {meant}?" if meant else f"emergency roles in the file: {listed(emergency)}"
        fail(f"--role: expected the name of a [[role]], came {name!a}", hint)
    if name not in emergency:
        fail(f"--role: {name} is no emergency role", f"write emergency = true in role[{name}], or grant another role")
    return name


def _seconds(text: str) -> float:
    # m as well as the min of the configuration: whoever types this is in a hurry.
    written = text[:-1] + "min" if text.endswith("m") else text
    try:
        found = seconds(written)
    except WrongValueError:
        found = 0.0
    if not SHORTEST_GRANT <= found <= LONGEST_GRANT:
        units = ", ".join(["m", *DURATIONS])
        fail(f"--for: expected a time from 1m to 24h, came {text[:40]!a}", f"for instance 30m or 2h; units: {units}")
    return found


def _announce(grant: Grant, as_json: bool) -> None:
    if as_json:
        say([json.dumps(_public(grant, grant.granted))])
    else:
        say([grant.id])
    print(
        f"EMERGENCY ACCESS: {grant.user} has the role {grant.role} until {_local(grant.ends)}\n"
        f"  reason: {grant.reason}\n"
        f"  this is recorded, and so is every use; end it early: dicomgate break-glass --revoke {grant.id}",
        file=sys.stderr,
    )


def _revoke(grants: EmergencyGrants, name: str) -> None:
    grant = grants.revoke(name.strip().lower(), operator(), time.time())
    if grant is None:
        print(f"no grant {name[:40]!a} is in force\n  hint: dicomgate break-glass --list shows all", file=sys.stderr)
        raise typer.Exit(DENIED)
    print(f"EMERGENCY ACCESS ENDED: {grant.user} has the role {grant.role} no more", file=sys.stderr)


def _list(grants: list[Grant], as_json: bool) -> None:
    now = time.time()
    if as_json:
        say(json.dumps(_public(grant, now)) for grant in grants)
        return
    for grant in grants:
        state, until = _public(grant, now)["state"], _local(grant.ended or grant.ends)
        say([f"{grant.id}  {state}  {grant.user}  {grant.role}  until {until}  {grant.reason}"])
    if not grants:
        print("there are no grants", file=sys.stderr)


def _public(grant: Grant, now: float) -> dict[str, object]:
    over = grant.ended is not None or grant.ends <= now
    return {
        "id": grant.id,
        "state": "over" if over else "in force",
        "user": grant.user,
        "role": grant.role,
        "reason": grant.reason,
        "operator": grant.operator,
        "granted": iso_time(grant.granted),
        "ends": iso_time(grant.ends),
        "ended": None if grant.ended is None else iso_time(grant.ended),
    }


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
