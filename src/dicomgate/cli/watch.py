"""`dicomgate watch`: who talks DICOM to whom on a mirror port or in a capture. It only listens."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.cli.speech import WRONG, AsJson, fail, say
from dicomgate.config.load import load
from dicomgate.gate.settings import GateSettings
from dicomgate.watch.capture import CaptureError, Frame, Interface, read_file
from dicomgate.watch.parties import Parties
from dicomgate.watch.watcher import Watcher


def watch(
    interface: Annotated[str | None, typer.Option(metavar="NAME", help="Listen here; needs CAP_NET_RAW.")] = None,
    pcap: Annotated[Path | None, typer.Option(metavar="FILE", help="Read this capture (pcap, pcapng).")] = None,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", metavar="FILE", help="Compare with this configuration.")
    ] = None,
    gate: Annotated[
        list[str] | None, typer.Option(metavar="IP", help="An address of the gate; may be repeated.")
    ] = None,
    port: Annotated[list[int] | None, typer.Option(help="TLS on this port is told too; may be repeated.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Listen for so long; default: until Ctrl-C.")] = None,
    as_json: AsJson = False,
) -> None:
    """Who talks DICOM to whom, in clear or encrypted, and who goes past the gate."""
    if (interface is None) == (pcap is None):
        fail("expected --interface or --pcap, one of them", "for instance dicomgate watch --pcap day.pcap")
    settings = None if config is None else load(config, files=False).settings
    gates = frozenset([*(gate or ()), *_own(settings)])
    watcher = Watcher(frozenset(port or ()))
    parties = Parties(None if settings is None else settings.rules, gates)
    dropped, problem = 0, None
    try:
        if pcap is not None:
            _take(read_file(pcap), watcher, parties)
        elif interface is not None:
            dropped = _listen(interface, seconds, watcher, parties)
    except CaptureError as error:
        problem = error
    parties.add(watcher.finish())
    rows = parties.rows()
    say(json.dumps(row.as_json()) if as_json else row.line() for row in rows)
    totals = watcher.totals
    told = {
        "frames": totals.frames,
        "not TCP": totals.unread,
        "connections": totals.connections,
        "dropped by the kernel": dropped,
        "connections forgotten": totals.forgotten,
        "bytes not seen": totals.lost_bytes,
        "parties beyond the table": parties.beyond,
    }
    print("; ".join(f"{name}: {count}" for name, count in told.items()), file=sys.stderr)
    if problem is not None:
        print(f"dicomgate: error: {problem}\n  hint: what came before is told above", file=sys.stderr)
        raise typer.Exit(WRONG)


def _own(settings: GateSettings | None) -> Iterator[str]:
    for listener in settings.listeners if settings is not None else ():
        if listener.bind.host not in ("0.0.0.0", "::"):  # noqa: S104 - any address is none to compare with
            yield listener.bind.host


def _take(frames: Iterator[Frame], watcher: Watcher, parties: Parties) -> None:
    for link, frame, at in frames:
        parties.add(watcher.frame(link, frame, at))


def _listen(name: str, seconds: float | None, watcher: Watcher, parties: Parties) -> int:
    """Until the time is over or somebody interrupts; how many frames the kernel had no room for."""
    source = Interface(name)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    print(f"listening on {name}", file=sys.stderr, flush=True)
    with suppress(KeyboardInterrupt):
        for frame in source.frames(None if seconds is None else time.monotonic() + seconds):
            if frame is not None:
                parties.add(watcher.frame(*frame))
    source.close()
    return source.dropped
