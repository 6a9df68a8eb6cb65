"""Whether a new passcode can be guessed: a passcode in, the reason against it out. Nothing said repeats any of it."""

from typing import Any

from zxcvbn import zxcvbn

SHORTEST, LONGEST = 10, 256
"""Characters."""
LEAST_SCORE = 3
"""zxcvbn's "safely unguessable": more than 10⁸ guesses, where the guard allows some thousand a day."""

_JUDGED = 72
"""Characters that zxcvbn looks at; the time it takes grows faster than the text."""
_LONG_ENOUGH_TO_GIVE_AWAY = 4
_OF_THIS_PLACE = ("dicomgate", "dicom", "pacs", "radiology", "hospital", "clinic", "archive")


def weakness(passcode: str, name: str) -> str | None:
    """Why it is refused, as a sentence; None when it is good."""
    if len(passcode) < SHORTEST:
        return f"expected at least {SHORTEST} characters, came {len(passcode)}"
    if len(passcode) > LONGEST:
        return f"expected at most {LONGEST} characters, came {len(passcode)}"
    if not passcode.isprintable():
        return "expected printable characters; a client cannot send others"
    if len(name) >= _LONG_ENOUGH_TO_GIVE_AWAY and name.lower() in passcode.lower():
        return "it contains the user's name"
    found: dict[str, Any] = zxcvbn(passcode[:_JUDGED], user_inputs=[name, *_OF_THIS_PLACE])
    if found["score"] >= LEAST_SCORE:
        return None
    # The library's own sentences speak of patterns, and never quote what they were found in.
    feedback = found["feedback"]
    why = feedback["warning"] or "it can be guessed"
    return f"{why.rstrip('.')}. {' '.join(feedback['suggestions'])}".strip()
