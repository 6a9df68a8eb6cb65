"""The characters of UIDs and AE titles: wire text in, yes/no or trimmed text out (PS3.5 6.2, 9.1; PS3.8 Annex F)."""

import re

UID_LENGTH = 64
"""PS3.5 9.1: longest UID in characters."""
AE_TITLE_LENGTH = 16
"""PS3.5 6.2: longest AE title in characters, padding included."""

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


def is_valid_uid(text: str) -> bool:
    """True for 1 to 64 digits and dots without an empty component.

    Leading zeros in a component are against PS3.5 9.1, but stand in real objects: they pass.
    """
    return len(text) <= UID_LENGTH and _UID.fullmatch(text) is not None


def is_valid_ae_title(text: str) -> bool:
    """True for 1 to 16 printable ASCII characters without backslash, not all of them spaces (PS3.5 6.2, VR AE)."""
    return len(text) <= AE_TITLE_LENGTH and _is_ae_text(text) and not text.isspace() and text != ""


def trim_ae_title(raw: bytes) -> str | None:
    """The significant characters of a padded AE title: without outer spaces and trailing NULs.

    All padding gives "", which is no valid title. None when a control character, a backslash or a byte
    beyond ASCII is left over: such a title must not be compared with anything.
    """
    text = raw.rstrip(b"\0 ").lstrip(b" ").decode("latin-1")
    return text if _is_ae_text(text) else None


def _is_ae_text(text: str) -> bool:
    return text.isascii() and text.isprintable() and "\\" not in text


def is_plain_text(text: str) -> bool:
    """True for characters that one can see, and spaces between them: nothing that moves a cursor or ends a line."""
    return text.isprintable() and text == text.strip()
