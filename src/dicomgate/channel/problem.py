"""What is wrong with a channel, for the administrator: expected, came, where, and a hint."""


class ChannelError(Exception):
    """Nothing was changed, or what was begun has been undone."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(f"{text}\n  hint: {hint}")
        self.text = text
        self.hint = hint
