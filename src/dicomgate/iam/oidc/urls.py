"""Which URLs may be asked for tokens, keys and users. Text in, yes or no out."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_safe_url(url: str) -> bool:
    """HTTPS, or HTTP to this very machine; no user information and no fragment."""
    try:
        found = urlsplit(url)
        host, _ = found.hostname, found.port
    except ValueError:
        return False
    if not host or "@" in found.netloc or found.fragment or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return found.scheme == "https" or (found.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
