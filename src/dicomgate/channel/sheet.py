"""What the administrator of somebody else's device at the other end needs to know, as a page of text. Pure."""

from dicomgate.channel import ipsec, wireguard, words
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, ChannelKind


def sheet(channel: Channel, end: ChannelEnd) -> str:
    """Parameters for the device at `end`, in the words of RFC 7296. Holds no secret."""
    other = ipsec.remote_of(channel, end)
    rows = [
        ("Channel", words.name(channel.name)),
        ("Your site", words.name(end.site.name)),
        ("Your public address", end.address or "(dynamic: you begin)"),
        ("Our public address", other.address or "(dynamic: we begin)"),
        ("Networks on your side", str(end.networks)),
        ("Networks on our side", str(other.networks)),
        ("May pass", ", ".join(f"TCP {port}" for port in channel.ports) or "everything between these networks"),
    ]
    rows += _ipsec(channel, end, other) if channel.kind is ChannelKind.IPSEC else _wireguard(channel, end, other)
    rows += [
        ("Down", "refuse or drop; traffic between these networks must never leave in clear"),
        ("Try it", "C-ECHO from your side through the tunnel; our records name the channel"),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join([f"Parameters of the tunnel {channel.name}", "", *(f"{a:<{width}}  {b}" for a, b in rows), ""])


def _ipsec(channel: Channel, end: ChannelEnd, other: ChannelEnd) -> list[tuple[str, str]]:
    section = ipsec.connection(channel, end)
    psk = channel.authentication is Authentication.PSK
    rows = [
        ("Protocol", "IKEv2 (RFC 7296), no IKEv1; ESP in tunnel mode"),
        ("Ports between us", "UDP 500 and UDP 4500; ESP always in UDP (RFC 3948)"),
        (
            "Authentication",
            "shared secret, sent to you another way" if psk else "certificates, RSA 3072 or ECDSA P-256",
        ),
        ("You call yourself", words.identity(end.identity or "")),
        ("We call ourselves", words.identity(other.identity or "")),
        ("IKE proposals", ", ".join(ipsec.IKE_PROPOSALS)),
        ("ESP proposals", ", ".join(ipsec.ESP_PROPOSALS)),
        ("IKE SA lifetime", str(section["rekey_time"])),
        ("ESP SA lifetime", f"{int(channel.rekey_after)}s, with a new key exchange (PFS)"),
        ("Dead peer detection", f"every {ipsec.question_after(channel)} s"),
        ("Fragmentation", "RFC 7383"),
    ]
    for name, local, remote in ipsec.selectors(channel, end):
        rows.append((f"Selectors {name}", f"yours {', '.join(local)}; ours {', '.join(remote)}"))
    return rows


def _wireguard(channel: Channel, end: ChannelEnd, other: ChannelEnd) -> list[tuple[str, str]]:
    return [
        ("Protocol", "WireGuard; nothing to choose"),
        ("Your UDP port", str(end.port)),
        ("Our UDP port", str(other.port)),
        ("Your tunnel address", str(end.tunnel_address or "(write it into the configuration)")),
        ("Our tunnel address", str(other.tunnel_address or "(write it into the configuration)")),
        ("Our public key", words.key(other.public_key) if other.public_key else "(run dicomgate channel keys)"),
        ("Your AllowedIPs for us", ", ".join(wireguard.allowed_ips(other))),
        ("PersistentKeepalive", f"{wireguard.keepalive(channel)} (needed: without it silence counts as down)"),
        ("Additional secret", "sent to you another way" if channel.psk_file else "none"),
    ]
