"""Cipher suites and known TLS flaws by sslyze: a prober in, names out. sslyze is optional (extra `assess`).

It connects by itself, so it is held to one connection at a time; it counts as one of the target's connections.
"""

import importlib.util
from dataclasses import dataclass
from typing import Any

from dicomgate.assess.prober import Prober

FORBIDDEN = ("NULL", "_anon_", "EXPORT", "RC4", "_DES_", "3DES", "DES40", "IDEA", "RC2")
"""Parts of names (RFC 9325 4.1 MUST NOT, and below 112 bits)."""
DISCOURAGED = ("TLS_RSA_", "_CBC_", "TLS_DHE_", "TLS_DH_", "TLS_ECDH_", "SEED", "ARIA_128_CBC")
"""Parts of names (RFC 9325 4.1, 4.2 SHOULD NOT, in TLS 1.2)."""
_VERSIONS = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")


@dataclass(frozen=True, slots=True)
class Suites:
    """What a scan found, as names of RFCs."""

    accepted: tuple[str, ...]
    forbidden: tuple[str, ...]
    discouraged: tuple[str, ...]
    flaws: tuple[str, ...]
    why: str = ""
    """What could not be scanned."""


def sslyze_is_installed() -> bool:
    return importlib.util.find_spec("sslyze") is not None


def sort_suites(names: set[str], flaws: tuple[str, ...] = (), why: str = "") -> Suites:
    """Names into what is forbidden, discouraged and neither."""
    forbidden = sorted(name for name in names if any(part in name for part in FORBIDDEN))
    discouraged = sorted(name for name in names if name not in forbidden and any(part in name for part in DISCOURAGED))
    return Suites(tuple(sorted(names)), tuple(forbidden), tuple(discouraged), flaws, why)


def scan(prober: Prober) -> Suites:
    """One scan of the target. A scan that fails says so in `why`."""
    import sslyze  # noqa: PLC0415 - optional, and slow to import

    prober.pace()
    target = prober.target.endpoint
    name = prober.inputs.host_name or target.address
    commands = sslyze.ScanCommand
    request = sslyze.ServerScanRequest(
        sslyze.ServerNetworkLocation(hostname=name, port=target.port, ip_address=target.address),
        network_configuration=sslyze.ServerNetworkConfiguration(
            tls_server_name_indication=name, network_timeout=max(1, int(prober.patience.connect)), network_max_retries=1
        ),
        scan_commands={
            *(commands(f"{version}_cipher_suites") for version in _VERSIONS),
            commands.TLS_COMPRESSION,
            commands.SESSION_RENEGOTIATION,
            commands.HEARTBLEED,
            commands.OPENSSL_CCS_INJECTION,
            commands.ROBOT,
        },
    )
    scanner = sslyze.Scanner(per_server_concurrent_connections_limit=1, concurrent_server_scans_limit=1)
    scanner.queue_scans([request])
    result = next(iter(scanner.get_results()))
    if result.scan_result is None:
        return sort_suites(set(), why="no TLS handshake succeeded")
    return _read(result.scan_result)


def _read(found: Any) -> Suites:
    names: set[str] = set()
    failed: list[str] = []
    for version in _VERSIONS:
        attempt = getattr(found, f"{version}_cipher_suites")
        if attempt.result is None:
            failed.append(version)
        else:
            names.update(accepted.cipher_suite.name for accepted in attempt.result.accepted_cipher_suites)
    flaws = []
    for command, flaw, name in (
        ("tls_compression", lambda result: result.supports_compression, "compression"),
        ("heartbleed", lambda result: result.is_vulnerable_to_heartbleed, "Heartbleed"),
        ("openssl_ccs_injection", lambda result: result.is_vulnerable_to_ccs_injection, "CCS injection"),
        ("session_renegotiation", lambda result: not result.supports_secure_renegotiation, "insecure renegotiation"),
        ("robot", lambda result: result.robot_result.name.startswith("VULNERABLE"), "ROBOT"),
    ):
        attempt = getattr(found, command)
        if attempt.result is None:
            # Without a client certificate there is no session to renegotiate, for an attacker neither.
            if getattr(attempt.error_reason, "name", "") != "CLIENT_CERTIFICATE_NEEDED":
                failed.append(command)
        elif flaw(attempt.result):
            flaws.append(name)
    return sort_suites(names, tuple(flaws), f"no result for {', '.join(failed)}" if failed else "")
