"""Who can vouch for users, and who signs this gate in. A Document without errors in; the adapters' settings out.

One function for each kind of `[[verifier]]`.
"""

from pathlib import Path

from dicomgate.config import kinds, schema
from dicomgate.config.document import Document
from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.iam.ldap.settings import BY_MEMBER, BY_UID, LdapSettings, ServiceAccount
from dicomgate.iam.oidc.settings import Client, LoginSettings, OidcSettings, TokenRules
from dicomgate.iam.saml.settings import SamlSettings
from dicomgate.iam.secret import SecretSource
from dicomgate.iam.settings import LocalSettings, VerifierSettings


def verifiers(document: Document, base: Path) -> tuple[VerifierSettings, ...]:
    """In the order of the file: that of asking. Like build(), it cannot fail."""
    found: list[VerifierSettings] = []
    for entry in document.verifiers:
        match entry.table:
            case kinds.LocalVerifier() as table:
                found.append(local(table))
            case kinds.LdapVerifier() as table:
                found.append(ldap(table, base))
            case kinds.KerberosVerifier() as table:
                found.append(kerberos(table, base))
            case kinds.OidcVerifier() as table:
                found.append(oidc(table, base))
            case kinds.SamlVerifier() as table:
                found.append(saml(table, base))
            case _:
                pass  # a table of no known kind, for which there is an error already
    return tuple(found)


def local(table: kinds.LocalVerifier) -> LocalSettings:
    return LocalSettings(table.name, table.memory // schema.KiB, table.passes)


def ldap(table: kinds.LdapVerifier, base: Path) -> LdapSettings:
    source = SecretSource(_path(table.bind_passcode_file, base), table.bind_passcode_env)
    return LdapSettings(
        name=table.name,
        servers=tuple(table.servers),
        ca=_path(table.ca, base),
        user_base=table.user_base,
        service=None if table.bind_dn is None else ServiceAccount(table.bind_dn, source),
        user_filter=table.user_filter or BY_UID,
        name_attribute=table.name_attribute,
        groups=table.groups,
        group_base=table.group_base or table.user_base,
        group_filter=table.group_filter or BY_MEMBER,
        nested_groups=table.nested_groups,
        connections=table.connections,
        connect_timeout=table.connect_timeout,
        operation_timeout=table.operation_timeout,
        total_timeout=table.total_timeout,
    )


def kerberos(table: kinds.KerberosVerifier, base: Path) -> KerberosSettings:
    own = table.principal.rpartition("@")[2]
    return KerberosSettings(
        name=table.name,
        keytab=base / table.keytab,
        principal=table.principal,
        realms=frozenset(table.realms or [own]),
        replay_cache=base / table.replay_cache,
        strip_realm=table.strip_realm,
        roles=frozenset(table.roles),
        groups_from=table.groups_from,
    )


def oidc(table: kinds.OidcVerifier, base: Path) -> OidcSettings:
    return OidcSettings(
        name=table.name,
        rules=TokenRules(
            issuer=table.issuer,
            audiences=frozenset(table.audience),
            clients=None if table.clients is None else frozenset(table.clients),
            algorithms=tuple(table.algorithms),
            types=frozenset(kind.lower().removeprefix("application/") for kind in table.types),
            leeway=table.leeway,
            certificate_bound=table.certificate_bound,
        ),
        ca=_path(table.ca, base),
        jwks=_path(table.jwks, base),
        user_claim=table.user_claim,
        groups_claim=table.groups_claim,
        client=None if table.client_id is None else Client(table.client_id, _secret(table, base)),
        introspection=table.introspection,
        password_grant=table.password_grant,
        scope=table.scope,
        timeout=table.timeout,
        stale_keys=table.stale_keys,
    )


def saml(table: kinds.SamlVerifier, base: Path) -> SamlSettings:
    return SamlSettings(
        name=table.name,
        audience=table.audience,
        recipients=frozenset(table.recipient or [table.audience]),
        metadata=_path(table.metadata, base),
        issuer=table.issuer,
        certificates=tuple(base / path for path in table.certificates or ()),
        user_attribute=table.user_attribute,
        groups_attribute=table.groups_attribute,
        reuse=table.reuse,
        leeway=table.leeway,
    )


def login(table: schema.LoginTable, base: Path) -> LoginSettings:
    return LoginSettings(
        issuer=table.issuer,
        client_id=table.client_id,
        tokens=base / table.tokens,
        scope=table.scope,
        resource=table.resource,
        ca=_path(table.ca, base),
    )


def _secret(table: kinds.OidcVerifier, base: Path) -> SecretSource | None:
    if table.client_secret_file is None and table.client_secret_env is None:
        return None
    return SecretSource(_path(table.client_secret_file, base), table.client_secret_env)


def _path(path: str | None, base: Path) -> Path | None:
    return None if path is None else base / path
