"""Text that came from anywhere in; text that every receiver takes, and that is one line, out."""

import re

REPLACEMENT = "\ufffd"
LONGEST = 256
"""Characters of one value in a message. All of a message has to fit into the 32 KiB that PS3.15 A.6 promises."""
SENTENCE = 1024
"""Characters of a sentence."""

_ODD = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls, line ends among them: a value must not look like the next line of a log
    "\u2028\u2029"  # line ends of Unicode
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # these turn around what an auditor sees
    "\ud800-\udfff\ufeff\ufffe\uffff"  # no characters of XML 1.0 (2.2), or none at all
    "]"
)


def plain(value: object, longest: int = LONGEST) -> str:
    """The value as text: odd characters replaced by U+FFFD, cut with an ellipsis."""
    text = str(value)
    if not (text.isascii() and text.isprintable()):  # most text is: several times faster than a search
        text = _ODD.sub(REPLACEMENT, text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
