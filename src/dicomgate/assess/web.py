"""One HTTP request without credentials: a service in, the status and the content type out. The body is never read."""

import time
from dataclasses import dataclass

from dicomgate.assess.dialogue import NoAnswer
from dicomgate.assess.inputs import WebService
from dicomgate.assess.line import LineError, Tls
from dicomgate.assess.prober import Prober

MOST_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """`status` is 0 where no HTTP came; `why` says what came instead."""

    status: int
    kind: str = ""
    """Media type of the Content-Type header, without parameters."""
    why: str = ""

    def __str__(self) -> str:
        return self.why or f"HTTP {self.status}"


def get_head(prober: Prober, service: WebService, path: str) -> WebAnswer:
    """GET `path` below the service; the connection is closed as soon as the headers are there."""
    with prober.line(service.endpoint, Tls(web=True) if service.tls else None) as line:
        if isinstance(line, NoAnswer):
            return WebAnswer(0, why=str(line))
        deadline = time.monotonic() + prober.patience.answer
        request = (
            f"GET {service.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {service.host}\r\n"
            "Accept: application/dicom+json\r\nUser-Agent: dicomgate-assess\r\nConnection: close\r\n\r\n"
        )
        head = b""
        try:
            line.send(request.encode("ascii"), deadline)
            while b"\r\n\r\n" not in head and len(head) < MOST_HEAD:
                data = line.receive(deadline)
                if not data:
                    break
                head += data
        except LineError as error:
            return WebAnswer(0, why=error.ending.value)
    return read_head(head.partition(b"\r\n\r\n")[0])


def read_head(head: bytes) -> WebAnswer:
    """The status line and Content-Type of a response's head."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        return WebAnswer(0, why="not HTTP")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            kind = value.partition(";")[0].strip().lower()
            return WebAnswer(int(words[1][:3]), kind if kind.isascii() and kind.isprintable() else "", "")
    return WebAnswer(int(words[1][:3]))
