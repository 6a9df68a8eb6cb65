"""What is wrong with an authority, a key, a request or an argument: place, expected, came, hint."""

import json

LONGEST_SHOWN = 60


class PkiError(Exception):
    """A command of the authority cannot be carried out.

    `place` is a file or an option; `text` says what was expected and what came; `hint` what to do. No secret in any.
    """

    def __init__(self, place: str, text: str, hint: str) -> None:
        self.place = place
        self.text = text
        self.hint = hint
        super().__init__(f"{place}: {text}\n  hint: {hint}")


def shown(text: str) -> str:
    """Text from outside as it may be printed: quoted, one line, bounded, no control characters."""
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return f'"{cut}"' if cut.isprintable() and '"' not in cut else json.dumps(cut)
