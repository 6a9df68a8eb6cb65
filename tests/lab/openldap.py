"""OpenLDAP as a context manager: a directory with people and groups over StartTLS and LDAPS, that can be restarted.

Its schema has some of Active Directory's attributes too, so that settings for either kind can be tried.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.pki import SERVER, Authority
from lab.process import Address, LabError, Process, free_address, running

SLAPD = Path("/usr/sbin/slapd")
CLIENTS = Path("/usr/bin")
PROGRAMS = (SLAPD, CLIENTS / "ldapadd", CLIENTS / "ldapmodify", CLIENTS / "ldapsearch")

BASE = "dc=clinic,dc=example"
PEOPLE, GROUPS, SERVICES = (f"ou={unit},{BASE}" for unit in ("people", "groups", "services"))
GATE, GATE_PASSCODE = f"cn=gate,{SERVICES}", "gate secret"
ADMIN, ADMIN_PASSCODE = f"cn=admin,{BASE}", "admin secret"

SCHEMA = """
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 EQUALITY integerMatch SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 EQUALITY integerMatch SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 EQUALITY caseIgnoreMatch SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 EQUALITY caseIgnoreMatch SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.302 NAME 'sAMAccountType'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 EQUALITY integerMatch SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP top AUXILIARY
  MAY ( userAccountControl $ accountExpires $ sAMAccountType $ sAMAccountName $ userPrincipalName ) )
"""

POLICY = f"""
dn: cn=policy,{SERVICES}
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 20
pwdMustChange: TRUE
"""


def person(uid: str, *more: str, passcode: str | None = None) -> str:
    """An entry whose passcode is `UID secret` unless another is given."""
    lines = [
        f"dn: cn={uid},{PEOPLE}",
        "objectClass: inetOrgPerson",
        "objectClass: shadowAccount",
        "objectClass: user",
        f"cn: {uid}",
        f"sn: {uid}",
        f"uid: {uid}",
        f"userPassword: {passcode or f'{uid} secret'}",
        *more,
    ]
    return "\n".join(lines) + "\n"


def group(cn: str, *members: str) -> str:
    """A group of full names."""
    lines = [
        f"dn: cn={cn},{GROUPS}",
        "objectClass: groupOfNames",
        f"cn: {cn}",
        *(f"member: {name}" for name in members),
    ]
    return "\n".join(lines) + "\n"


def named(cn: str) -> str:
    """The full name of a group."""
    return f"cn={cn},{GROUPS}"


def _somebody(uid: str) -> str:
    return f"cn={uid},{PEOPLE}"


ENTRIES = "\n".join(
    [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Clinic\ndc: clinic\n",
        *(f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn[3:].partition(',')[0]}\n"
          for dn in (PEOPLE, GROUPS, SERVICES)),
        POLICY.lstrip(),
        f"dn: {GATE}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: gate\n"
        f"userPassword: {GATE_PASSCODE}\n",
        person("alice", "sAMAccountName: alice", "userPrincipalName: alice@clinic.example", "userAccountControl: 512",
               "sAMAccountType: 805306368"),
        person("bob"),
        person("carol"),
        person("müller", passcode="Käse mit Löchern"),
        person("a*b(c)", "mail: odd@clinic.example"),
        person("gone", "userAccountControl: 514"),
        person("left", "accountExpires: 132223104000000000"),  # 2020
        person("forgotten", "shadowExpire: 18000"),
        person("twin1", "mail: twin@clinic.example"),
        person("twin2", "mail: twin@clinic.example"),
        person("reset"),
        person("locked"),
        person("tired"),
        group("radiologists", _somebody("alice"), _somebody("carol")),
        group("technologists", _somebody("bob")),
        group("clinicians", named("radiologists")),
        group("everybody", named("clinicians"), named("technologists")),
        group("circle", named("everybody"), _somebody("carol")),
        f"dn: cn=posix,{GROUPS}\nobjectClass: posixGroup\ncn: posix\ngidNumber: 5000\nmemberUid: alice\n",
    ]
)  # fmt: skip

CHANGES = f"""
dn: {named("everybody")}
changetype: modify
add: member
member: {named("circle")}

dn: {_somebody("reset")}
changetype: modify
replace: pwdReset
pwdReset: TRUE

dn: {_somebody("locked")}
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z
"""


class OpenLdap:
    """A directory of its own. `stop` and `start` keep addresses and entries."""

    def __init__(self, directory: Path, *, tls_required: bool = False) -> None:
        self.directory = directory
        self.plain, self.tls = free_address(), free_address()
        # A name of its own: two authorities of one name cannot stand in one file.
        authority = Authority(directory / "pki", directory.name)
        self.ca = authority.certificate
        self.foreign_ca = Authority(directory / "other", "other").certificate
        self._identity = authority.issue("slapd", names=["localhost", self.plain.host], usage=(SERVER,))
        self._running = ExitStack()
        (directory / "db").mkdir()
        self._configuration = directory / "slapd.conf"
        self._configuration.write_text(self._settings(tls_required), encoding="utf-8")
        self.process: Process | None = None

    def start(self) -> None:
        """Until it answers on both addresses."""
        urls = f"ldap://{self.plain} ldaps://{self.tls}"
        command: list[str | Path] = [SLAPD, "-d", "0", "-f", self._configuration, "-h", urls]

        def ready(process: Process) -> bool:
            return process.listens(self.plain.port) and process.listens(self.tls.port)

        self.process = self._running.enter_context(running("slapd", command, self.directory, ready=ready, grace=5.0))

    def stop(self) -> None:
        """Closes all its connections."""
        self._running.close()

    def fill(self) -> None:
        """Add everybody, through the running server: only so its overlays keep memberOf."""
        self.run("ldapadd", ENTRIES)
        self.run("ldapmodify", CHANGES, "-e", "relax")

    def run(self, program: str, text: str, *options: str) -> str:
        """One of OpenLDAP's own clients as the administrator, with `text` as its input."""
        who = ["-x", "-H", f"ldaps://{self.tls}", "-D", ADMIN, "-w", ADMIN_PASSCODE]
        done = subprocess.run(
            [str(CLIENTS / program), *who, *options],
            input=text.encode(),
            capture_output=True,
            timeout=30,
            check=False,
            env={**os.environ, "LDAPTLS_CACERT": str(self.ca)},
        )
        if done.returncode:
            raise LabError(f"{program} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def _settings(self, tls_required: bool) -> str:
        schemas = "".join(
            f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson", "nis")
        )
        modules = "".join(f"moduleload {name}\n" for name in ("back_mdb", "memberof", "refint", "ppolicy"))
        return (
            f"{schemas}{SCHEMA.lstrip()}modulepath /usr/lib/ldap\n{modules}"
            f"pidfile {self.directory}/slapd.pid\n"
            f"TLSCertificateFile {self._identity.certificate}\n"
            f"TLSCertificateKeyFile {self._identity.key}\n"
            f"TLSCACertificateFile {self.ca}\n"
            + ("security simple_bind=128\n" if tls_required else "")
            + f'database mdb\nsuffix "{BASE}"\nrootdn "{ADMIN}"\nrootpw "{ADMIN_PASSCODE}"\n'
            f"directory {self.directory}/db\nmaxsize 67108864\ndbnosync\n"
            "index objectClass,uid,member,memberOf,mail eq\n"
            "access to attrs=userPassword by anonymous auth by * none\n"
            f'access to * by dn.exact="{GATE}" read by * none\n'
            "overlay memberof\nmemberof-refint TRUE\noverlay refint\nrefint_attributes memberof member\n"
            f'overlay ppolicy\nppolicy_default "cn=policy,{SERVICES}"\nppolicy_use_lockout\n'
        )


@contextmanager
def openldap(directory: Path, *, tls_required: bool = False) -> Iterator[OpenLdap]:
    """Start it with everybody in it."""
    directory.mkdir(parents=True)
    server = OpenLdap(directory, tls_required=tls_required)
    try:
        server.start()
        server.fill()
        yield server
    finally:
        server.stop()


__all__ = ["ADMIN", "BASE", "GATE", "GATE_PASSCODE", "GROUPS", "PEOPLE", "Address", "OpenLdap", "named", "openldap"]
