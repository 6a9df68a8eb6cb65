"""What a verification of channels says to programs, such as the assessor. Channels and findings in, JSON values out.

The shape is described in docs/reference/channel-verify.md; `dicomgate segment verify` writes the same rows, without
findings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from dicomgate.channel.model import Authentication, Channel
from dicomgate.channel.verify import Finding

FORMAT = "dicomgate-channel-verify/1"
DAY = 86400


def identity(channel: Channel, now: float) -> dict[str, Any]:
    """How the ends of a channel know each other. No secret is read, only its file's age (`now`: seconds since 1970)."""
    age = None
    if channel.psk_file is not None:
        try:
            age = int((now - channel.psk_file.stat().st_mtime) // DAY)
        except OSError:
            age = None  # not on this machine
    mutual = channel.authentication is not Authentication.PSK
    return {"name": channel.name, "kind": channel.kind.value, "mutual": mutual, "shared_key_days": age}


def document(found: Iterable[tuple[Channel, Sequence[Finding]]], gate: str, time: str, now: float) -> dict[str, Any]:
    """All of it; `time` is `now` in words."""
    rows = [identity(channel, now) | {"findings": [asdict(each) for each in findings]} for channel, findings in found]
    ok = bool(rows) and all(each["ok"] for row in rows for each in row["findings"])
    return {"format": FORMAT, "time": time, "gate": gate, "ok": ok, "channels": rows}
