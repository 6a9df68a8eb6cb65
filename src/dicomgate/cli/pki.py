"""`dicomgate pki`: the site's own small certificate authority."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomgate.cli.speech import AsJson
from dicomgate.pki.passphrases import asking, choosing
from dicomgate.pki.problem import PkiError
from dicomgate.pki.words import DEVICE_DAYS, MOST_DAYS, KeyKind, Reason, Usage, Validity

if TYPE_CHECKING:
    from dicomgate.pki.commands import Report

pki = typer.Typer(help="The site's own small certificate authority.", no_args_is_help=True)

AuthorityFolder = Annotated[Path, typer.Option("--ca", metavar="DIR", help="The authority's folder.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the passphrase of the authority's keys.")
]
KeystorePassphraseFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write PKCS#12, under the passphrase in this file.")
]
DeviceName = Annotated[str, typer.Argument(metavar="NAME", help="The device's name in this authority.")]
Titles = Annotated[list[str] | None, typer.Option("--ae", metavar="TITLE", help="An AE title; may be repeated.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", metavar="HOST", help="A DNS name; may be repeated.")]
Addresses = Annotated[list[str] | None, typer.Option("--address", metavar="IP", help="May be repeated.")]
Days = Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="How long it is valid.")]
OnlyServer = Annotated[bool, typer.Option("--server", help="It is only called.")]
OnlyClient = Annotated[bool, typer.Option("--client", help="It only calls.")]
BothSides = Annotated[bool, typer.Option("--both", help="It calls and is called (default).")]
RootKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where the root's key is kept; default: in the authority's folder.")
]
PKI_FOLDER = Path("pki")
VALIDITY = Validity()


@pki.command("init")
def pki_init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new folder.")],
    name: Annotated[str, typer.Option(help="The site, as it stands in every certificate.")],
    permit: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="A DNS suffix or a network it may vouch for; may be repeated. Or: any."),
    ] = None,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase for both keys.")] = False,
    passphrase_file: PassphraseFile = None,
    root_key: RootKey = None,
    root_days: Days = VALIDITY.root,
    issuing_days: Days = VALIDITY.issuing,
) -> None:
    """Make a root to be kept offline, and an issuing authority that signs devices."""
    from dicomgate.pki import commands  # noqa: PLC0415 - cryptography, for these commands only

    choose = choosing(passphrase_file) if passphrase or passphrase_file else None
    validity = Validity(root_days, issuing_days)
    _tell(
        commands.init(
            folder, name=name, permit=permit or [], now=_now(), choose=choose, root_key=root_key, validity=validity
        )
    )


@pki.command("issue")
def pki_issue(
    name: DeviceName,
    ca: AuthorityFolder = PKI_FOLDER,
    ae: Titles = None,
    host: Hosts = None,
    address: Addresses = None,
    server: OnlyServer = False,
    client: OnlyClient = False,
    both: BothSides = False,
    days: Days = DEVICE_DAYS,
    key: Annotated[KeyKind, typer.Option(help="rsa is for devices that cannot do ECDSA.")] = KeyKind.ECDSA,
    passphrase_file: PassphraseFile = None,
    keystore_passphrase_file: KeystorePassphraseFile = None,
) -> None:
    """Make a key and a certificate for a device, and print the lines that use them."""
    from dicomgate.pki import commands, names  # noqa: PLC0415

    holder = names.Holder.of(name, ae or [], host or [], address or [], _usage(server, client, both))
    choose_keystore = choosing(keystore_passphrase_file) if keystore_passphrase_file else None
    ask = asking(passphrase_file)
    _tell(commands.issue(ca, holder, now=_now(), ask=ask, days=days, kind=key, choose_keystore=choose_keystore))


@pki.command("import")
def pki_import(
    name: DeviceName,
    request: Annotated[Path, typer.Argument(metavar="CSR", help="The device's certification request.")],
    ca: AuthorityFolder = PKI_FOLDER,
    ae: Titles = None,
    host: Hosts = None,
    address: Addresses = None,
    server: OnlyServer = False,
    client: OnlyClient = False,
    both: BothSides = False,
    days: Days = DEVICE_DAYS,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign a device's own request. Its key is taken; names and purposes are those given here."""
    from dicomgate.pki import commands, names  # noqa: PLC0415

    holder = names.Holder.of(name, ae or [], host or [], address or [], _usage(server, client, both))
    _tell(commands.sign_request(ca, request, holder, now=_now(), ask=asking(passphrase_file), days=days))


@pki.command("renew")
def pki_renew(
    name: DeviceName,
    ca: AuthorityFolder = PKI_FOLDER,
    same_key: Annotated[bool, typer.Option("--same-key", help="Keep the key.")] = False,
    csr: Annotated[Path | None, typer.Option(metavar="CSR", help="Take the key of this new request.")] = None,
    days: Days = DEVICE_DAYS,
    passphrase_file: PassphraseFile = None,
    keystore_passphrase_file: KeystorePassphraseFile = None,
) -> None:
    """A new certificate with the names of the present one, which stays valid until it ends or is revoked."""
    from dicomgate.pki import commands  # noqa: PLC0415

    if same_key and csr:
        raise PkiError("--same-key", "came together with --csr", "give one of them")
    choose_keystore = choosing(keystore_passphrase_file) if keystore_passphrase_file else None
    ask = asking(passphrase_file)
    _tell(
        commands.renew(
            ca, name, now=_now(), ask=ask, days=days, same_key=same_key, request=csr, choose_keystore=choose_keystore
        )
    )


@pki.command("revoke")
def pki_revoke(
    target: Annotated[str, typer.Argument(metavar="NAME|SERIAL", help="All of a device, or one certificate.")],
    ca: AuthorityFolder = PKI_FOLDER,
    reason: Annotated[Reason, typer.Option()] = Reason.UNSPECIFIED,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Put certificates on the revocation list."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.revoke_device(ca, target, now=_now(), ask=asking(passphrase_file), reason=reason))


@pki.command("crl")
def pki_crl(
    ca: AuthorityFolder = PKI_FOLDER,
    days: Annotated[int | None, typer.Option(min=1, max=MOST_DAYS, help="How long the issuing list holds.")] = None,
    root_key: RootKey = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign the revocation lists anew, before they end."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.refresh_lists(ca, now=_now(), ask=asking(passphrase_file), days=days, root_key=root_key))


@pki.command("list")
def pki_list(
    ca: AuthorityFolder = PKI_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Every certificate and list, its state and the days that are left."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.listing(ca, now=_now(), as_json=as_json))


@pki.command("show")
def pki_show(name: DeviceName, ca: AuthorityFolder = PKI_FOLDER) -> None:
    """The lines of `issue` once more."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.show(ca, name, now=_now()))


def _usage(server: bool, client: bool, both: bool) -> Usage:
    chosen = [usage for usage, wanted in zip(Usage, (server, client, both), strict=True) if wanted]
    if len(chosen) > 1:
        raise PkiError("--server", "came together with --client or --both", "give one of them; --both is the default")
    return chosen[0] if chosen else Usage.BOTH


def _tell(report: "Report") -> None:
    for line in report.lines:
        print(line)
    for note in report.notes:
        print(note, file=sys.stderr)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
