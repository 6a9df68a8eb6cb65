"""What went wrong with a connection or file, in a few words: an exception of the system in, a sentence's end out."""

import ssl

from dicomgate.audit.plain import plain

_LONGEST = 160


def spoken(error: OSError) -> str:
    """OpenSSL's or the system's reason, without a value that came from the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return plain(f"certificate refused: {error.verify_message}", _LONGEST)
    if isinstance(error, ssl.SSLEOFError):
        return "connection closed"
    if isinstance(error, ssl.SSLError):
        # Python leaves the attribute out when OpenSSL gave no reason.
        name: str | None = getattr(error, "reason", None)
        return plain(name.replace("_", " ").lower() if name else "unknown TLS error", _LONGEST)
    if isinstance(error, TimeoutError):
        return "timed out"
    return plain((error.strerror or type(error).__name__).lower(), _LONGEST)
