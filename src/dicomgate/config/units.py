"""Values with a unit: "1 MiB" becomes bytes, "15 s" seconds, "HOST:PORT" an endpoint; else WrongValueError."""

import math
import re
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address

from dicomgate.config.problem import WrongValueError, shown
from dicomgate.policy.model import Endpoint

SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
DURATIONS = {"ms": Decimal("0.001"), "s": Decimal(1), "min": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}

_QUANTITY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)")
_ENDPOINT = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def size(value: object) -> int:
    """Bytes from `1048576` or `"1 MiB"` (B, KiB, MiB, GiB)."""
    hint = 'write a whole number of bytes or a text such as "64 KiB" or "1 MiB"; the units are ' + ", ".join(SIZES)
    match value:
        case bool():
            pass
        case int():
            return value
        case str() if found := _QUANTITY.fullmatch(value):
            if found[2] in SIZES:
                number = Decimal(found[1]) * SIZES[found[2]]
                if number == int(number):
                    return int(number)
    raise WrongValueError(f"expected a size, came {shown(value)}", hint)


def seconds(value: object) -> float:
    """Seconds from `15`, `0.5` or `"10 min"` (ms, s, min, h, d)."""
    hint = 'write a number of seconds or a text such as "15 s" or "10 min"; the units are ' + ", ".join(DURATIONS)
    match value:
        case bool():
            pass
        case int() if abs(value) < 10**12:
            return float(value)
        case float() if math.isfinite(value):
            return value
        case str() if found := _QUANTITY.fullmatch(value):
            if found[2] in DURATIONS:
                return float(Decimal(found[1]) * DURATIONS[found[2]])
    raise WrongValueError(f"expected a time, came {shown(value)}", hint)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, or None when it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def endpoint(value: object) -> Endpoint:
    """An endpoint with a port from 1 to 65535: `"10.1.1.20:11112"`, `"[2001:db8::5]:104"`, `"archive.example:104"`."""
    found = _endpoint(value, '"10.1.1.20:11112", "[2001:db8::5]:104" or "archive.example:104"')
    if found.port == 0:
        raise WrongValueError(
            f"expected a port from 1 to 65535, came {shown(value)}",
            "DICOM's own ports are 104, 11112 and, with TLS, 2762",
        )
    return found


def bind(value: object) -> Endpoint:
    """An endpoint to accept on: a literal address, and port 0 for any free port."""
    if isinstance(value, str) and re.fullmatch(r"\*?:[0-9]+", value):
        port = value.rpartition(":")[2][:5]
        raise WrongValueError(
            f"expected an address before the port, came {shown(value)}",
            f'write "0.0.0.0:{port}" for every IPv4 address of this machine, "[::]:{port}" for every IPv6 address',
        )
    found = _endpoint(value, '"10.1.1.5:104" or "[2001:db8::5]:104"')
    if literal(found.host) is None:
        raise WrongValueError(
            f"expected a literal address, came the host name in {shown(value)}",
            f'write for instance "127.0.0.1:{found.port}"; a name server must not decide where the gate is open',
        )
    return found


def _endpoint(value: object, examples: str) -> Endpoint:
    hint = f"write for instance {examples}"
    if isinstance(value, str) and value.count(":") > 1 and not value.startswith("["):
        hint = 'an IPv6 address needs brackets, for instance "[2001:db8::5]:104"'
    if not isinstance(value, str) or (found := _ENDPOINT.fullmatch(value)) is None:
        raise WrongValueError(f"expected HOST:PORT, came {shown(value)}", hint)
    port = int(found["port"])
    if port > 65535:
        raise WrongValueError(f"expected a port of at most 65535, came {shown(value)}", hint)
    if found["bracketed"] is not None:
        address = literal(found["bracketed"])
        if not isinstance(address, IPv6Address) or not _ZONE.fullmatch(address.scope_id or "lo"):
            raise WrongValueError(f"expected an IPv6 address in the brackets, came {shown(value)}", hint)
        return Endpoint(str(address), port)
    host = found["plain"]
    if (address := literal(host)) is not None:
        return Endpoint(str(address), port)
    looks_like_address = host.rstrip(".").rpartition(".")[2].isdigit()
    if looks_like_address or len(host) > 253 or _HOST_NAME.fullmatch(host) is None:
        raise WrongValueError(f"expected an address or a host name before the port, came {shown(value)}", hint)
    return Endpoint(host, port)
