"""`dicomgate login`: the user of a desk signs this gate in at the site's identity provider."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, say
from dicomgate.config.load import load

if TYPE_CHECKING:
    from dicomgate.iam.oidc.sign_in import Invitation, SignIn, Tokens


def login(
    config: ConfigFile,
    forget: Annotated[bool, typer.Option("--forget", help="Sign out: forget the tokens, here and there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign the user of this desk in, so that the gate can say who it is. The gate renews the sign-in by itself."""
    from dicomgate.iam.oidc.keepers import KeeperError, keeper  # noqa: PLC0415 - libraries for this command only
    from dicomgate.iam.oidc.sign_in import SignIn  # noqa: PLC0415
    from dicomgate.iam.oidc.web import WebError  # noqa: PLC0415

    settings = load(config, files=False).login
    if settings is None:
        fail("expected a [login] table, came a file without one", "write issuer and client_id below [login]")
    sign_in, kept = SignIn(settings), keeper(settings)
    try:
        if forget:
            found = kept.load()
            kept.forget()
            if found is not None:
                sign_in.revoke(found)
            return
        invitation = sign_in.begin()
        _show(invitation, as_json)
        tokens = _wait(sign_in, invitation)
        kept.save(tokens)
    except WebError as error:
        fail(str(error), "check issuer, client_id and ca in [login], and the way to the provider")
    except KeeperError as error:
        fail(str(error), "check tokens in [login]")
    finally:
        sign_in.close()
    _tell(tokens, kept.where, as_json)


def _show(invitation: "Invitation", as_json: bool) -> None:
    if as_json:
        shown = {
            "verification_uri": invitation.verification_uri,
            "verification_uri_complete": invitation.verification_uri_complete,
            "user_code": invitation.user_code,
            "expires_in": invitation.expires_in,
        }
        say([json.dumps(shown)])
        return
    say([f"open {invitation.verification_uri}", f"code {invitation.user_code}"])
    print(f"waiting for you to confirm, at most {invitation.expires_in / 60:.0f} min", file=sys.stderr)


def _wait(sign_in: "SignIn", invitation: "Invitation") -> "Tokens":
    """Ask as seldom as the provider wants, and more seldom while it cannot be reached (RFC 8628 3.5)."""
    from dicomgate.iam.oidc.sign_in import LONGEST_INTERVAL, Declined, Pending  # noqa: PLC0415
    from dicomgate.iam.oidc.web import WebError  # noqa: PLC0415

    deadline = time.monotonic() + invitation.expires_in
    interval, trouble = invitation.interval, ""
    while time.monotonic() + interval < deadline:
        time.sleep(interval)
        try:
            found = sign_in.poll(invitation, interval)
        except WebError as error:
            if str(error) != trouble:
                trouble = str(error)
                print(f"dicomgate: {trouble}; trying again", file=sys.stderr)
            interval = min(interval * 2, LONGEST_INTERVAL)
            continue
        match found:
            case Pending(wanted):
                interval = wanted
            case Declined(reason):
                print(f"dicomgate: {reason}", file=sys.stderr)
                raise typer.Exit(DENIED)
            case _:
                return found
    print("dicomgate: the code has expired", file=sys.stderr)
    raise typer.Exit(DENIED)


def _tell(tokens: "Tokens", where: str, as_json: bool) -> None:
    ends = datetime.fromtimestamp(tokens.expires, UTC).isoformat(timespec="seconds")
    renewable = tokens.refresh_token is not None
    if as_json:
        say([json.dumps({"signed_in": True, "expires": ends, "renewable": renewable, "kept_in": where})])
        return
    say([f"signed in until {ends}" + (", then renewed" if renewable else "")])
    print(f"kept in {where}", file=sys.stderr)
