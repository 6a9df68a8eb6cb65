"""rsyslog as an audit record repository: syslog over TLS with client certificates (RFC 5425). Out: what it received."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.pki import Identity
from lab.process import Address, Process, running

PROGRAM = Path("/usr/sbin/rsyslogd")

_CONFIGURATION = """\
global(workDirectory="{work}" maxMessageSize="64k" net.enableDNS="off" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
template(name="line" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="sd" name="structured-data" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
ruleset(name="audit" queue.type="Direct") {{
  action(type="omfile" file="{received}" template="line" asyncWriting="off" flushOnTXEnd="on")
}}
module(load="imtcp")
input(type="imtcp" name="tls" port="{port}" address="{host}" ruleset="audit" streamDriver.name="ossl"
  streamDriver.mode="1" streamDriver.authMode="x509/certvalid" supportOctetCountedFraming="on" maxFrameSize="65536")
"""


@dataclass(frozen=True, slots=True)
class Rsyslog:
    """A running rsyslog; `received` outlives it and grows when another one is started in the same folder."""

    process: Process
    address: Address
    received: Path

    def messages(self) -> list[dict[str, Any]]:
        return received(self.received)


def received(file: Path) -> list[dict[str, Any]]:
    """The messages in the file, in the order of their arrival; `msg` holds the MSG part."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


@contextmanager
def rsyslog(directory: Path, identity: Identity, ca: Path, address: Address) -> Iterator[Rsyslog]:
    """Run it in `directory` with a certificate of its own until the block ends."""
    work = directory / "work"
    work.mkdir(parents=True, exist_ok=True)
    file = directory / "received.jsonl"
    configuration = directory / "rsyslog.conf"
    text = _CONFIGURATION.format(
        work=work,
        ca=ca,
        certificate=identity.certificate,
        key=identity.key,
        received=file,
        port=address.port,
        host=address.host,
    )
    configuration.write_text(text, encoding="utf-8")
    command: list[str | Path] = [PROGRAM, "-n", "-f", configuration, "-i", work / "pid"]
    with running(
        "rsyslogd", command, directory, ready=lambda process: process.listens(address.port), grace=5.0
    ) as process:
        yield Rsyslog(process, address, file)
