"""A MIT Kerberos realm as a context manager: a KDC on loopback, people, a keytab, and tokens of real clients.

Clients of the realm run as programs of their own: the library reads its configuration once in a process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.process import Address, LabError, Process, free_address, running

KDC = Path("/usr/sbin/krb5kdc")
PROGRAMS = (KDC, Path("/usr/sbin/kdb5_util"), Path("/usr/sbin/kadmin.local"), Path("/usr/bin/kinit"))
REALM = "CLINIC.EXAMPLE"
SERVICE = f"dicom/gate.clinic.example@{REALM}"
OTHER_SERVICE = f"host/gate.clinic.example@{REALM}"
MUTUAL, THREE_LEGS, PLAIN = "mutual", "dce", "plain"

_CLIENT = """
import sys, gssapi
from gssapi import RequirementFlag as Flag
service, kind, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
mutual = Flag.mutual_authentication
flags = {"mutual": [mutual], "dce": [mutual, Flag.dce_style], "plain": [Flag.integrity]}[kind]
name = gssapi.Name(service, gssapi.NameType.kerberos_principal)
contexts = []
for _ in range(times):
    context = gssapi.SecurityContext(name=name, usage="initiate", flags=flags, mech=gssapi.MechType.kerberos)
    print(context.step().hex(), flush=True)
    contexts.append(context)
for line in sys.stdin:
    number, reply = line.split()
    context = contexts[int(number)]
    context.step(bytes.fromhex(reply))
    print("complete" if context.complete else "waiting", flush=True)
"""


@dataclass(frozen=True, slots=True)
class Realm:
    """A running realm. `keytab` has the keys of SERVICE and of OTHER_SERVICE."""

    directory: Path
    address: Address
    keytab: Path
    process: Process

    @property
    def environment(self) -> Mapping[str, str]:
        """What its programs need to find it, and nobody else's settings."""
        known = {key: value for key, value in os.environ.items() if not key.startswith("KRB5")}
        return known | {
            "KRB5_CONFIG": str(self.directory / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf"),
        }

    def administer(self, *commands: str) -> None:
        """Commands of kadmin.local, as at the machine of the KDC."""
        for command in commands:
            _run(["/usr/sbin/kadmin.local", "-r", REALM, *shlex.split(command)], "", self.environment)

    def log_in(self, user: str, *options: str) -> Path:
        """The ticket cache of somebody whose passcode is `USER secret`."""
        cache = self.directory / f"cache.{user.replace('/', '.')}"
        _run(["/usr/bin/kinit", "-c", f"FILE:{cache}", *options, user], f"{user} secret\n", self.environment)
        return cache

    def tokens(self, cache: Path, count: int = 1, *, service: str = SERVICE, kind: str = MUTUAL) -> list[bytes]:
        """First GSS tokens of a client, each one new."""
        printed = _run([sys.executable, "-c", _CLIENT, service, kind, str(count)], "", self._as(cache))
        return [bytes.fromhex(line) for line in printed.split()]

    @contextmanager
    def client(self, cache: Path) -> Iterator[Client]:
        """A client that also judges the reply."""
        command = [sys.executable, "-c", _CLIENT, SERVICE, MUTUAL, "1"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._as(cache), text=True
        ) as popen:
            assert popen.stdout is not None
            yield Client(popen, bytes.fromhex(popen.stdout.readline()))

    def _as(self, cache: Path) -> Mapping[str, str]:
        return {**self.environment, "KRB5CCNAME": f"FILE:{cache}"}


@dataclass(frozen=True, slots=True)
class Client:
    """A client that has sent its token and waits for the reply."""

    popen: subprocess.Popen[str]
    token: bytes

    def takes(self, reply: bytes) -> bool:
        """True when it believes that the reply comes from the service it wanted."""
        said, _ = self.popen.communicate(f"0 {reply.hex()}\n", timeout=20)
        return said.strip() == "complete"


@contextmanager
def kerberos(directory: Path) -> Iterator[Realm]:
    """Start a realm with alice, bob and the services."""
    directory.mkdir(parents=True)
    address = free_address()
    (directory / "krb5.conf").write_text(_client_settings(address), encoding="utf-8")
    (directory / "kdc.conf").write_text(_server_settings(directory, address), encoding="utf-8")
    realm_environment = {
        "KRB5_CONFIG": str(directory / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(directory / "kdc.conf"),
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KRB5")} | realm_environment
    _run(["/usr/sbin/kdb5_util", "-r", REALM, "create", "-s", "-P", "master secret"], "", environment)
    command: list[str | Path] = ["/usr/bin/env", *(f"{key}={value}" for key, value in realm_environment.items())]
    command += [KDC, "-n", "-r", REALM]
    with running("krb5kdc", command, directory, ready=lambda process: process.listens(address.port)) as process:
        realm = Realm(directory, address, directory / "service.keytab", process)
        realm.administer(
            *(f'addprinc -pw "{user} secret" +requires_preauth {user}' for user in ("alice", "bob", "alice/admin")),
            *(f"addprinc -randkey {service}" for service in (SERVICE, OTHER_SERVICE)),
            f"ktadd -k {realm.keytab} {SERVICE} {OTHER_SERVICE}",
        )
        yield realm


def _run(command: list[str], text: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False, env=dict(environment)
    )
    if done.returncode:
        raise LabError(f"{command[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _client_settings(address: Address) -> str:
    return f"""
[libdefaults]
  default_realm = {REALM}
  dns_lookup_realm = false
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  {REALM} = {{
    kdc = {address}
  }}
"""


def _server_settings(directory: Path, address: Address) -> str:
    return f"""
[kdcdefaults]
  kdc_listen = ""
  kdc_tcp_listen = {address}
[realms]
  {REALM} = {{
    database_name = {directory}/principal
    key_stash_file = {directory}/stash
    max_life = 24h
    supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
  }}
[logging]
  kdc = STDERR
"""
