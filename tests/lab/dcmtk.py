"""DCMTK's servers as context managers and its clients as functions. In: titles and addresses; out: files and text.

Programs are called by their absolute path: pynetdicom installs commands of the same names into virtual environments.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.process import Address, Process, free_address, running

BIN = Path("/usr/bin")
PROGRAMS = ("dcmqrscp", "echoscu", "findscu", "getscu", "movescu", "storescp", "storescu", "wlmscpfs", "dump2dcm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a client ended. `output` is all it printed; findscu must be judged by it, since it exits 0 when aborted."""

    exit_code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class Server:
    """A DCMTK server. `directory` holds what it received or keeps."""

    ae_title: str
    address: Address
    directory: Path
    process: Process

    def associations(self) -> int:
        """How many associations it says it received. Each is one line of its verbose log."""
        return self.process.text().count("Association Received")


@contextmanager
def storescp(
    directory: Path, ae_title: str = "STORESCP", *, address: Address | None = None, unique_names: bool = False
) -> Iterator[Server]:
    """A storage receiver that writes each data set exactly as it came, behind file meta information of its own.

    A second object of the same name takes the place of the first already with its first byte, and an association that
    ends before its last leaves neither. With `unique_names` every object has a file of its own.
    """
    address = address or free_address()
    received = directory / "received"
    received.mkdir(parents=True)
    options: list[str | Path] = ["-v", "+B", "+xa", "-dhl", "-aet", ae_title, "-od", received]
    if unique_names:
        options.append("+uf")
    with _listening("storescp", [*options, str(address.port)], directory, address) as process:
        yield Server(ae_title, address, received, process)


@contextmanager
def dcmqrscp(
    directory: Path,
    ae_title: str = "QRSCP",
    *,
    address: Address | None = None,
    move_destinations: Mapping[str, Address] | None = None,
) -> Iterator[Server]:
    """A small query and retrieve archive. `move_destinations`: AE title → where it sends what is moved there."""
    address = address or free_address()
    database = directory / "database"
    database.mkdir(parents=True)
    hosts = [
        f"peer{number} = ({title}, {where.host}, {where.port})"
        for number, (title, where) in enumerate((move_destinations or {}).items())
    ]
    configuration = directory / "dcmqrscp.cfg"
    configuration.write_text(
        "\n".join(
            [
                f"NetworkTCPPort = {address.port}",
                "MaxPDUSize = 131072",
                "MaxAssociations = 32",
                "HostTable BEGIN",
                *hosts,
                "HostTable END",
                "VendorTable BEGIN",
                "VendorTable END",
                "AETable BEGIN",
                f"{ae_title} {database} RW (2000, 1024mb) ANY",
                "AETable END",
                "",
            ]
        )
    )
    # It takes JPEG 2000 lossless beside the uncompressed syntaxes; it knows no option for all of them.
    options: list[str | Path] = ["-v", "+xv", "-dhl", "-c", configuration]
    with _listening("dcmqrscp", [*options, str(address.port)], directory, address) as process:
        yield Server(ae_title, address, database, process)


@contextmanager
def wlmscpfs(
    directory: Path, dumps: Iterable[str], ae_title: str = "WORKLIST", *, address: Address | None = None
) -> Iterator[Server]:
    """A modality worklist server. `dumps`: one text per item, in the syntax that dump2dcm reads."""
    address = address or free_address()
    items = directory / "items"
    folder = items / ae_title
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    for number, dump in enumerate(dumps):
        text = directory / f"item{number}.dump"
        text.write_text(dump)
        made = client("dump2dcm", "-q", "+te", text, folder / f"item{number}.wl")
        if not made.ok:
            raise ValueError(f"dump2dcm refused worklist item {number}: {made.output}")
    # Files without every type 1 attribute are dropped silently unless -dfr is given.
    options: list[str | Path] = ["-v", "-dfr", "-dhl", "-dfp", items]
    with _listening("wlmscpfs", [*options, str(address.port)], directory, address) as process:
        yield Server(ae_title, address, items, process)


@contextmanager
def _listening(program: str, arguments: Iterable[str | Path], directory: Path, address: Address) -> Iterator[Process]:
    command = [BIN / program, *arguments]
    with running(program, command, directory, ready=lambda process: process.listens(address.port)) as process:
        yield process


def client(program: str, *arguments: str | Path, cwd: Path | None = None, seconds: float = 60.0) -> Outcome:
    """Run one of DCMTK's programs to its end."""
    done = subprocess.run(
        [str(BIN / program), *(str(argument) for argument in arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    return Outcome(done.returncode, done.stdout.decode("utf-8", errors="replace"))


def echoscu(to: Address, calling: str, called: str, *options: str | Path) -> Outcome:
    """C-ECHO."""
    return client("echoscu", "-v", *_titles(calling, called), *options, to.host, str(to.port))


def storescu(
    to: Address, calling: str, called: str, files: Iterable[Path], *options: str | Path, seconds: float = 60.0
) -> Outcome:
    """C-STORE of files; `options` name the transfer syntax to propose, such as `-xv` (JPEG 2000 lossless)."""
    titles = _titles(calling, called)
    return client("storescu", "-v", *titles, *options, to.host, str(to.port), *files, seconds=seconds)


def findscu(
    to: Address, calling: str, called: str, keys: Iterable[str], *options: str | Path, output: Path | None = None
) -> Outcome:
    """C-FIND; with `output`, each match is written there as rsp0001.dcm, rsp0002.dcm, …"""
    titles = _titles(calling, called)
    extract: tuple[str | Path, ...] = ("-X", "-od", output) if output else ()
    return client("findscu", "-v", *titles, *extract, *options, *_keys(keys), to.host, str(to.port))


def getscu(to: Address, calling: str, called: str, keys: Iterable[str], output: Path, *options: str | Path) -> Outcome:
    """C-GET; what comes is written to `output` exactly as it came."""
    titles = _titles(calling, called)
    return client("getscu", "-v", "+B", *titles, "-od", output, *options, *_keys(keys), to.host, str(to.port))


def movescu(
    to: Address, calling: str, called: str, keys: Iterable[str], *options: str | Path, destination: str, output: Path
) -> Outcome:
    """C-MOVE; with `+P PORT` among the options it receives the objects itself, and writes them to `output`.

    Judge it by its output as well: it exits 0 although sub-operations failed.
    """
    titles = _titles(calling, called)
    move = (*titles, "-aem", destination, "-dhl", "+B", *options, *_keys(keys), to.host, str(to.port))
    # In bit-preserving mode it pays no heed to -od and writes to the folder it was started in.
    return client("movescu", "-v", *move, cwd=output)


def _titles(calling: str, called: str) -> tuple[str, ...]:
    return ("-aet", calling, "-aec", called)


def _keys(keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        yield "-k"
        yield key
