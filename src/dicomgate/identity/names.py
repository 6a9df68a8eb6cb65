"""When two user names are the same one: a name as typed in, the name to compare and to keep out."""

import unicodedata

LONGEST_ACCOUNT_NAME = 64
_MARKS = "._-@'"


def folded(name: str) -> str:
    """Upper and lower case, composed and decomposed letters, one space and several: all the same name.

    Directories compare names like this (RFC 4518 2.3, 2.4, 2.6.1). Who counts failures must too, or each
    spelling would have guesses of its own.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def account_name(text: str) -> str | None:
    """The name of a local user, folded; None when it cannot be one.

    1 to 64 letters, digits and `. _ - @ '`, the first a letter or digit: it stands in records, commands and
    one-time-code apps, and must look the same in all of them.
    """
    name = folded(text)
    if not name or len(name) > LONGEST_ACCOUNT_NAME or not name[0].isalnum():
        return None
    return name if all(character.isalnum() or character in _MARKS for character in name) else None
