"""The files that verifiers and the gate's own sign-in name: settings in, problems with them out.

Authorities, key sets, metadata, secrets; and the optional packages that read some of them.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from dicomgate.config.problem import Problem, Severity, listed
from dicomgate.gate.certificates import Finding, examine, examine_dates
from dicomgate.gate.settings import ClientTls
from dicomgate.iam.kerberos.keytab import principals_of
from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.iam.ldap.settings import LdapSettings
from dicomgate.iam.oidc.settings import LoginSettings, OidcSettings
from dicomgate.iam.saml.settings import SamlSettings
from dicomgate.iam.secret import SecretError, SecretSource
from dicomgate.iam.settings import LocalSettings, VerifierSettings


def examine_identity(
    verifiers: Iterable[VerifierSettings], login: LoginSettings | None, file: str, now: float
) -> Iterator[Problem]:
    """Errors for what nobody can be verified with. `now`: seconds since 1970."""
    for settings in verifiers:
        key = f"verifier[{settings.name}]"
        match settings:
            case LocalSettings():
                pass  # its users are in the store
            case LdapSettings():
                yield from _ldap(file, key, settings, now)
            case KerberosSettings():
                yield from _kerberos(file, key, settings)
            case OidcSettings():
                yield from _oidc(file, key, settings, now)
            case SamlSettings():
                yield from _saml(file, key, settings, now)
            case _:
                assert_never(settings)
    if login is not None and login.ca is not None:
        yield from _authorities(file, "login", login.ca, now)


def _ldap(file: str, key: str, settings: LdapSettings, now: float) -> Iterator[Problem]:
    if settings.ca is not None:
        yield from _authorities(file, key, settings.ca, now)
    if settings.service is not None:
        yield from _secret(file, key, settings.service.passcode, "bind_passcode")


def _kerberos(file: str, key: str, settings: KerberosSettings) -> Iterator[Problem]:
    try:
        # The library is the system's, and may be missing although the package is there.
        import gssapi  # noqa: F401, PLC0415 - an extra
    except ImportError:
        text = "expected the package gssapi and the system's Kerberos library, but one of them is not installed"
        yield Problem(file, f"{key}.kind", Severity.ERROR, text, 'pip install "dicomgate[kerberos]"')
    try:
        principals = principals_of(settings.keytab)
        others = settings.keytab.stat().st_mode & stat.S_IRWXO
    except OSError as error:
        yield _unreadable(file, f"{key}.keytab", settings.keytab, error)
        return
    except ValueError as error:
        hint = "name the file that ktutil, kadmin ktadd or ktpass wrote"
        yield Problem(file, f"{key}.keytab", Severity.ERROR, f"{settings.keytab}: {error}", hint)
        return
    if settings.principal not in principals:
        text = f"expected a key of {settings.principal} in {settings.keytab}, came keys of {listed(sorted(principals))}"
        yield Problem(file, f"{key}.keytab", Severity.ERROR, text, "klist -k FILE shows what a keytab holds")
    if others:
        yield _open_to_others(file, f"{key}.keytab", settings.keytab)


def _oidc(file: str, key: str, settings: OidcSettings, now: float) -> Iterator[Problem]:
    if settings.ca is not None:
        yield from _authorities(file, key, settings.ca, now)
    if settings.jwks is not None:
        from dicomgate.iam.oidc.jwks import read_keys  # noqa: PLC0415 - a library, for who needs it only

        try:
            read_keys(settings.jwks)
        except OSError as error:
            yield _unreadable(file, f"{key}.jwks", settings.jwks, error)
        except ValueError as error:
            hint = "save what the provider shows at its jwks_uri"
            yield Problem(file, f"{key}.jwks", Severity.ERROR, f"{settings.jwks}: {error}", hint)
    if settings.client is not None and settings.client.secret is not None:
        yield from _secret(file, key, settings.client.secret, "client_secret")


def _saml(file: str, key: str, settings: SamlSettings, now: float) -> Iterator[Problem]:
    missing = [name for name in ("lxml", "signxml") if find_spec(name) is None]
    if missing:
        text = f"expected the package {missing[0]}, but it is not installed"
        yield Problem(file, f"{key}.kind", Severity.ERROR, text, 'pip install "dicomgate[saml]"')
        return
    from dicomgate.iam.saml.verifier import identity_provider  # noqa: PLC0415 - an extra

    setting, path = ("certificates", None) if settings.metadata is None else ("metadata", settings.metadata)
    try:
        provider = identity_provider(settings)
    except OSError as error:
        where = path or Path(str(error.filename))
        yield _unreadable(file, f"{key}.{setting}", where, error)
    except ValueError as error:
        where = path or settings.certificates[0]
        hint = "name the file that the provider offers for download"
        yield Problem(file, f"{key}.{setting}", Severity.ERROR, f"{where}: {error}", hint)
    else:
        found = examine_dates(setting, path or settings.certificates[0], provider.certificates, now)
        yield from (_problem(file, key, finding) for finding in found)


def _authorities(file: str, key: str, ca: Path, now: float) -> Iterator[Problem]:
    yield from (_problem(file, key, finding) for finding in examine(ClientTls(ca), now))


def _secret(file: str, key: str, source: SecretSource, what: str) -> Iterator[Problem]:
    setting = f"{what}_env" if source.file is None else f"{what}_file"
    try:
        source.read()
    except SecretError as error:
        # A variable of the service need not be there for who runs `check`.
        severity = Severity.WARNING if source.file is None else Severity.ERROR
        hint = "write the secret on one line, and let only the user that runs the gate read it"
        yield Problem(file, f"{key}.{setting}", severity, str(error), hint)
        return
    if source.file is not None and source.file.stat().st_mode & stat.S_IRWXO:
        yield _open_to_others(file, f"{key}.{setting}", source.file)


def _open_to_others(file: str, key: str, path: Path) -> Problem:
    text = f"every user of this machine may read {path}"
    return Problem(file, key, Severity.WARNING, text, "take the rights of others away: chmod o= FILE")


def _problem(file: str, key: str, found: Finding) -> Problem:
    severity = Severity.ERROR if found.fatal else Severity.WARNING
    return Problem(file, f"{key}.{found.setting}", severity, found.text, found.hint)


def _unreadable(file: str, key: str, path: Path, error: OSError) -> Problem:
    reason = os.strerror(error.errno).lower() if error.errno else "unreadable"
    text = f"expected a readable file, came {path}: {reason}"
    return Problem(file, key, Severity.ERROR, text, "relative paths begin at this file")
