"""What stands between load and archive. In: the archive's address; out: where to connect, which processes count."""

import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import (
    LOOPBACK,
    Address,
    MeasurementError,
    Program,
    cpu_seconds,
    descriptor_limit,
    free_port,
    memory_bytes,
)
from bench.tls import Identity
from bench.wire import CALLED, CALLING

NGINX_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


class RelayPath(ABC):
    """One way from the load to the archive: start() it, connect to what it returns, stop() it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._program: Program | None = None

    @abstractmethod
    def start(self, target: Address, room: Path) -> Address:
        """Start it in front of `target`, its files below the directory `room`; where to connect."""

    def stop(self) -> None:
        if self._program is not None:
            self._program.stop()
            self._program = None

    @property
    def pids(self) -> list[int]:
        """The processes whose CPU time and memory count; none for the direct path."""
        return [self._program.pid] if self._program else []

    def cpu_seconds(self) -> float:
        self.still_runs()
        return cpu_seconds(self.pids)

    def memory_bytes(self) -> dict[str, int]:
        self.still_runs()
        return memory_bytes(self.pids)

    def still_runs(self) -> None:
        if self._program is not None:
            self._program.still_runs()

    @contextmanager
    def before(self, target: Address, room: Path) -> Iterator[Address]:
        """start() on entry, stop() on every exit."""
        room.mkdir(parents=True)
        try:
            yield self.start(target, room)
        finally:
            self.stop()


class Direct(RelayPath):
    """No relay: the load speaks to the archive itself."""

    def __init__(self) -> None:
        super().__init__("direct")

    def start(self, target: Address, room: Path) -> Address:
        return target


def _installed(program: str) -> str:
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if path is None:
        raise MeasurementError(f"{program} is not installed")
    return path


class HAProxy(RelayPath):
    """HAProxy in tcp mode, one thread, splicing when it thinks it pays. With `tls` its clients are encrypted."""

    def __init__(self, tls: Identity | None = None) -> None:
        super().__init__("haproxy")
        self._tls = tls

    def start(self, target: Address, room: Path) -> Address:
        address = (LOOPBACK, free_port())
        configuration = room / "haproxy.cfg"
        configuration.write_text(
            f"""global
  nbthread 1
  maxconn {descriptor_limit() // 2 - 200}
  maxpipes 64
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen relay
  bind {address[0]}:{address[1]}{f" ssl crt {self._tls.both}" if self._tls else ""}
  server archive {target[0]}:{target[1]}
"""
        )
        self._program = Program("haproxy", (_installed("haproxy"), "-db", "-f", str(configuration)), room)
        self._program.accepts(address)
        return address


class Nginx(RelayPath):
    """nginx stream, one worker. `buffer` is proxy_buffer_size in KiB; None leaves the default of 16."""

    def __init__(self, buffer: int | None = None, tls: Identity | None = None) -> None:
        super().__init__(f"nginx {buffer} KiB" if buffer else "nginx")
        self._buffer = buffer
        self._tls = tls

    def start(self, target: Address, room: Path) -> Address:
        address = (LOOPBACK, free_port())
        configuration = room / "nginx.conf"
        if not NGINX_STREAM_MODULE.exists():
            raise MeasurementError(f"nginx has no stream module: {NGINX_STREAM_MODULE} is missing")
        buffer = f"proxy_buffer_size {self._buffer}k;" if self._buffer else ""
        tls = self._tls
        certificate = f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};" if tls else ""
        protocols = "ssl_protocols TLSv1.2 TLSv1.3;" if tls else ""
        configuration.write_text(
            f"""load_module {NGINX_STREAM_MODULE};
daemon off; master_process off; worker_processes 1; pid {room}/nginx.pid; error_log stderr warn;
events {{ worker_connections {descriptor_limit() - 100}; }}
stream {{ server {{
  listen {address[0]}:{address[1]} backlog=4096{" ssl" if tls else ""}; {certificate} {protocols}
  proxy_pass {target[0]}:{target[1]}; {buffer}
  proxy_timeout 1h; proxy_connect_timeout 5s; tcp_nodelay on;
}} }}
"""
        )
        command = (_installed("nginx"), "-e", "stderr", "-p", str(room), "-c", str(configuration))
        self._program = Program("nginx", command, room)
        self._program.accepts(address)
        return address


class Stunnel(RelayPath):
    """stunnel, which takes TLS off and does nothing else."""

    def __init__(self, tls: Identity) -> None:
        super().__init__("stunnel")
        self._tls = tls

    def start(self, target: Address, room: Path) -> Address:
        address = (LOOPBACK, free_port())
        configuration = room / "stunnel.conf"
        configuration.write_text(
            f"""foreground = yes
pid =
syslog = no
debug = warning
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[relay]
accept = {address[0]}:{address[1]}
connect = {target[0]}:{target[1]}
cert = {self._tls.certificate}
key = {self._tls.key}
sslVersionMin = TLSv1.2
"""
        )
        self._program = Program("stunnel", (_installed("stunnel4"), str(configuration)), room)
        self._program.accepts(address)
        return address


PROFILE = "gate.profile"


@dataclass(frozen=True, slots=True)
class GateOptions:
    """How the gate is configured and started. `limits` are keys of [limits]; empty means the gate's defaults."""

    may: tuple[str, ...] = ("echo", "store")
    limits: dict[str, int] = field(default_factory=dict)
    max_associations: int | None = None
    tls: Identity | None = None
    """How clients are met; None is plaintext."""
    detection: bool = True
    tamper: str = "off"
    """The tamper alarm of its archive."""
    tamper_hold: str = "fragment"
    profile: bool = False
    """Run it under cProfile; the profile stands in `PROFILE` in its room when it ends."""
    clear_passcodes: bool = False
    """Take passcodes without TLS."""
    more: str = ""
    """Further tables of the file (TOML)."""
    program: str = "dicomgate"
    """The module that is run: the gate itself, or one that changes something in it."""


DETECTION_OFF = """[detect]
mode = "off"
"""
UNLIMITED = dict.fromkeys(
    ("associations", "associations_per_peer", "associations_per_address", "half_open", "half_open_per_address"), 20000
)


class Gate(RelayPath):
    """`python -m dicomgate run`, one plain listener, one archive, one peer, durable records in SQLite."""

    def __init__(self, options: GateOptions | None = None, name: str = "gate") -> None:
        super().__init__(name)
        self._options = options or GateOptions()

    def configuration(self, target: Address) -> str:
        """The gate's file (TOML) in front of `target`."""
        options = self._options
        may = ", ".join(f'"{verb}"' for verb in options.may)
        ceiling = f"max_associations = {options.max_associations}\n" if options.max_associations else ""
        tls = f'tls = {{ certificate = "{options.tls.certificate}", key = "{options.tls.key}" }}' if options.tls else ""
        limits = "[limits]\n" + "".join(f"{key} = {value}\n" for key, value in options.limits.items())
        return f"""[gate]
name = "bench"
state = "sqlite:///state.db"

[[listener]]
name = "bench"
bind = "{LOOPBACK}:0"
networks = ["127.0.0.0/8"]
{tls}
{'plaintext_passcodes = "unsafe-accept"' if options.clear_passcodes else ""}

[[archive]]
name = "main"
ae_title = "{CALLED}"
address = "{target[0]}:{target[1]}"
tamper = "{options.tamper}"
tamper_hold = "{options.tamper_hold}"
{ceiling}
[[peer]]
name = "load"
ae_titles = ["{CALLING}"]
networks = ["127.0.0.0/8"]
listeners = ["bench"]
assurance = "address"
may = [{may}]
archive = "main"

{"" if options.detection else DETECTION_OFF}
{limits if options.limits else ""}
{options.more}"""

    def start(self, target: Address, room: Path) -> Address:
        configuration = room / "gate.toml"
        configuration.write_text(self.configuration(target))
        profiler = ("-m", "cProfile", "-o", str(room / PROFILE)) if self._options.profile else ()
        command = (sys.executable, *profiler, "-m", self._options.program, "run", "-c", str(configuration))
        self._program = Program("gate", command, room)
        host, _, port = self._program.line("ready bench ").split()[2].rpartition(":")
        return host.strip("[]"), int(port)
