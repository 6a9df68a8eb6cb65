"""`dicomgate user`: the users of `kind = "local"`. Each change takes effect at once, and is recorded."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.audit.record import Event, Outcome, Record, iso_time
from dicomgate.cli.passcode import new_passcode
from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, operator, say
from dicomgate.config.load import Configuration, load
from dicomgate.config.problem import closest, listed
from dicomgate.iam import one_time_code
from dicomgate.iam.local import hasher
from dicomgate.iam.settings import LocalSettings
from dicomgate.identity.account import Account
from dicomgate.identity.names import LONGEST_ACCOUNT_NAME, account_name
from dicomgate.store.database import open_store
from dicomgate.store.users import Users

user = typer.Typer(help='Users of the gate itself: [[verifier]] with kind = "local".', no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user; upper and lower case are the same.")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="ROLE", help="A [[role]]; may be repeated.")]
PasscodeFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the passcode as its one line; - is standard input.")
]
NEVER = "never"


@user.command("add")
def user_add(
    name: Name,
    config: ConfigFile,
    role: Roles = None,
    passcode_file: PasscodeFile = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last day (2026-12-31), or a moment (2026-12-31T18:00).")
    ] = None,
    totp: Annotated[bool, typer.Option("--totp", help="Also ask for a one-time code; prints its otpauth URI.")] = False,
) -> None:
    """Add a user. Asks for the passcode twice, unless a file is given."""
    with _desk(config) as desk:
        folded, now = _named(name), time.time()
        roles, until = _known(role or [], desk.configuration), _moment(expires, now)
        if desk.users.find(folded) is not None:
            fail(f"there is a user {folded} already", "dicomgate user passwd sets a new passcode, user change the rest")
        passcode = _hashed(desk, new_passcode(passcode_file, folded), folded)
        secret = one_time_code.new_secret() if totp else None
        account = Account(folded, passcode, roles, now, now, expires=until, totp_secret=secret)
        if not desk.users.add(account, _record(now, account, "added")):
            fail(f"there is a user {folded} already", "somebody else has just added it")
        _hand_out(secret, folded, desk.configuration)
        _talk(f"{folded} added; roles: {listed(roles)}")
        if not roles:
            _talk("without a role this user may do nothing: dicomgate user change --role ROLE")


@user.command("passwd")
def user_passwd(name: Name, config: ConfigFile, passcode_file: PasscodeFile = None) -> None:
    """Set a new passcode."""
    with _desk(config) as desk:
        account = _existing(desk, name)
        passcode = _hashed(desk, new_passcode(passcode_file, account.name), account.name)
        _change(desk, account, replace(account, passcode=passcode), "passcode")
        _talk(f"{account.name}: the new passcode is in force")


@user.command("change")
def user_change(
    name: Name,
    config: ConfigFile,
    role: Roles = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last day or a moment, as with user add; or: never.")
    ] = None,
    totp: Annotated[
        bool | None, typer.Option("--totp/--no-totp", help="A new secret for one-time codes, or no codes any more.")
    ] = None,
) -> None:
    """Change what is given: roles (all of them), the end, one-time codes."""
    with _desk(config) as desk:
        account = _existing(desk, name)
        if role is None and expires is None and totp is None:
            fail("nothing to change", "give --role, --expires, --totp or --no-totp")
        after, secret = account, one_time_code.new_secret() if totp else None
        if role is not None:
            after = replace(after, roles=_known(role, desk.configuration))
        if expires is not None:
            after = replace(after, expires=None if expires == NEVER else _moment(expires, time.time()))
        if totp is not None:
            after = replace(after, totp_secret=secret, totp_step=None)
        _change(desk, account, after, "changed")
        _hand_out(secret, account.name, desk.configuration)
        _talk(f"{account.name} changed")


@user.command("disable")
def user_disable(name: Name, config: ConfigFile) -> None:
    """Refuse this user from now on; an association that runs goes on."""
    with _desk(config) as desk:
        account = _existing(desk, name)
        _change(desk, account, replace(account, disabled=True), "disabled")
        _talk(f"{account.name} disabled")


@user.command("enable")
def user_enable(name: Name, config: ConfigFile) -> None:
    """Take the user again."""
    with _desk(config) as desk:
        account = _existing(desk, name)
        _change(desk, account, replace(account, disabled=False), "enabled")
        _talk(f"{account.name} enabled")


@user.command("remove")
def user_remove(name: Name, config: ConfigFile) -> None:
    """Remove the user; the records of what the user did stay."""
    with _desk(config) as desk:
        account, now = _existing(desk, name), time.time()
        desk.users.remove(account.name, _record(now, account, "removed"))
        _talk(f"{account.name} removed")


@user.command("list")
def user_list(config: ConfigFile, as_json: AsJson = False) -> None:
    """All users, in the order of names."""
    with _desk(config) as desk:
        found, now = desk.users.everybody(), time.time()
    _print(found, now, as_json)
    if not found and not as_json:
        _talk("there are no local users")


@user.command("show")
def user_show(name: Name, config: ConfigFile, as_json: AsJson = False) -> None:
    """One user."""
    with _desk(config) as desk:
        found, now = _existing(desk, name), time.time()
    if as_json:
        _print([found], now, as_json)
    else:
        say(f"{word:8} {_plain(value)}" for word, value in _public(found, now).items())


@dataclass(frozen=True, slots=True)
class _UserDesk:
    configuration: Configuration
    users: Users
    settings: LocalSettings


@contextmanager
def _desk(config: Path) -> Iterator[_UserDesk]:
    """The store that the configuration names, made if need be: users may be added before the gate first runs."""
    configuration = load(config, files=False)
    local = configuration.identity.local
    if local is None:
        _talk('nobody is asked about these users yet: the file has no [[verifier]] with kind = "local"')
    engine = open_store(configuration.state, configuration.base)
    try:
        yield _UserDesk(configuration, Users(engine), local or LocalSettings("local"))
    finally:
        engine.dispose()


def _named(name: str) -> str:
    folded = account_name(name)
    if folded is None:
        fail(
            f"expected a user name of 1 to {LONGEST_ACCOUNT_NAME} letters, digits and . _ - @ '",
            "the first is a letter or a digit; there are no spaces",
        )
    return folded


def _existing(desk: _UserDesk, name: str) -> Account:
    folded = _named(name)
    account = desk.users.find(folded)
    if account is None:
        meant = closest(folded, [each.name for each in desk.users.everybody()])
        fail(f"there is no user {folded}", f"did you mean {meant}?" if meant else "dicomgate user list shows all")
    return account


def _known(roles: Iterable[str], configuration: Configuration) -> tuple[str, ...]:
    known = {role.name: role for role in configuration.settings.rules.roles}
    chosen = tuple(dict.fromkeys(roles))
    for name in chosen:
        if name not in known:
            meant = closest(name, known)
            hint = f"did you mean {meant}?" if meant else f"roles in the file: {listed(known)}"
            fail(f"--role: expected the name of a [[role]], came {name!a}", hint)
        if known[name].emergency:
            fail(f"--role: {name} is for emergencies only", f"dicomgate break-glass USER --role {name} --reason TEXT")
    return chosen


def _moment(text: str | None, now: float) -> float | None:
    """The end of a day in local time, or a moment."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--expires: expected a date, came {text[:40]!a}", "for instance 2026-12-31 or 2026-12-31T18:00")
    if len(text) <= len("2026-12-31"):
        moment += timedelta(days=1)
    if moment.timestamp() <= now:
        fail(f"--expires: expected a date to come, came {text[:40]!a}", "dicomgate user disable ends it now")
    return moment.timestamp()


def _hashed(desk: _UserDesk, passcode: str, name: str) -> str:
    from dicomgate.iam.quality import weakness  # noqa: PLC0415 - its word lists take longer than all the rest

    if (why := weakness(passcode, name)) is not None:
        _talk(f"dicomgate: the passcode is refused: {why}\n  hint: four or five words that have nothing in common")
        raise typer.Exit(DENIED)
    if not passcode.isascii():
        _talk("the passcode has characters beyond ASCII: some clients send them in other bytes, and are then refused")
    return hasher(desk.settings).hash(passcode.encode())


def _change(desk: _UserDesk, account: Account, after: Account, change: str) -> None:
    """Only the columns that differ: the gate may use a one-time code meanwhile, or renew a hash."""
    now = time.time()
    columns = [field.name for field in fields(Account)]
    values = {name: getattr(after, name) for name in columns if getattr(after, name) != getattr(account, name)}
    record = _record(now, after, change)
    if not desk.users.change(account.name, values | {"changed": now}, record):
        fail(f"there is no user {account.name}", "somebody else has just removed it")


def _record(now: float, account: Account, change: str) -> Record:
    return Record(
        time=now,
        event=Event.USER_CHANGED,
        outcome=Outcome.SUCCESS,
        user=account.name,
        detail={
            "change": change,
            "operator": operator(),
            "roles": list(account.roles),
            "expires": None if account.expires is None else iso_time(account.expires),
            "totp": account.totp_secret is not None,
        },
    )


def _hand_out(secret: str | None, name: str, configuration: Configuration) -> None:
    """Once only: nothing shows it again."""
    if secret is not None:
        say([one_time_code.uri(secret, name, configuration.settings.name)])
        _talk("bring this URI to the user's authenticator app, and keep it nowhere else; it is not shown again")


def _public(account: Account, now: float) -> dict[str, object]:
    over = account.expires is not None and account.expires <= now
    return {
        "name": account.name,
        "state": "disabled" if account.disabled else "expired" if over else "active",
        "roles": list(account.roles),
        "expires": None if account.expires is None else iso_time(account.expires),
        "totp": account.totp_secret is not None,
        "created": iso_time(account.created),
        "changed": iso_time(account.changed),
    }


def _print(accounts: list[Account], now: float, as_json: bool) -> None:
    shown = [_public(account, now) for account in accounts]
    if as_json:
        say(json.dumps(each) for each in shown)
    else:
        say("  ".join(_plain(value) for value in list(each.values())[:4]) for each in shown)


def _plain(value: object) -> str:
    match value:
        case list():
            return ",".join(value) or "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return "-" if value is None else str(value)


def _talk(text: str) -> None:
    print(text, file=sys.stderr)
