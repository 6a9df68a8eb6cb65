"""Writes checks.md from the catalogue. Run it after changing a check; a test compares."""

from collections.abc import Iterator
from pathlib import Path

from dicomgate.assess.checks import CATALOGUE
from dicomgate.assess.model import Check, Mode, Part, Requirement, Severity

HERE = Path(__file__).parent
PARTS = {
    Part.EXPOSURE: "Exposure",
    Part.ADMISSION: "Admission",
    Part.IDENTITY: "Identity",
    Part.TRANSPORT: "Transport",
    Part.AUTHORIZATION: "Authorization",
    Part.ROBUSTNESS: "Robustness",
    Part.FINGERPRINT: "Software and stored files",
    Part.LOGGING: "Logging",
}
MODES = {
    Mode.PASSIVE: "sends nothing; reads a file that is named",
    Mode.NEGOTIATION: "associations, C-ECHO, TLS handshakes. Together with the above: what runs without consent",
    Mode.QUERY: "questions built to match nothing. `--allow-count`",
    Mode.COUNT: "questions that match; what comes is counted while it streams past. `--allow-count`",
    Mode.INTRUSIVE: "stores a synthetic image, guesses titles, holds connections, malformed PDUs. `--allow-intrusive`",
    Mode.LAB: "replaces its own image, makes false workflow messages. `--lab HOST:PORT`: no system with patients",
}


def text() -> str:
    """The whole page."""
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    yield "# Checks"
    yield ""
    yield "<!-- written by write_checks.py -->"
    yield ""
    yield f"The {len(CATALOGUE)} checks of `dicomgate assess`. [How to run them](../howto/assess.md)."
    yield ""
    yield "| Outcome | Means |"
    yield "|---|---|"
    yield "| `fail` | a finding: what stands under *proof* came back |"
    yield "| `pass` | it was asked, and refused or found in order |"
    yield "| `inconclusive` | it was asked, and the answer proves neither; the report says why |"
    yield "| `skipped` | it was not asked: no consent, input or tool; no meaning here; refused before; out of scope |"
    yield ""
    yield "| Mode | Does |"
    yield "|---|---|"
    for mode in Mode:
        yield f"| `{mode}` | {MODES[mode]} |"
    yield ""
    yield "| Recommendation | |"
    yield "|---|---|"
    for requirement in Requirement:
        yield f"| {requirement} | {requirement.wording} |"
    for part, heading in PARTS.items():
        yield ""
        yield f"## {heading}"
        for procedure in CATALOGUE:
            if procedure.check.part is part:
                yield ""
                yield from _check(procedure.check)


def _check(check: Check) -> Iterator[str]:
    requirements = ", ".join(check.requirements) or "none"
    severity = check.severity if check.severity is not Severity.INFO else "information"
    yield f"### {check.id} {check.title}"
    yield ""
    yield f"Severity {severity} · mode `{check.mode}` · {requirements}"
    yield ""
    yield f"- **Sends:** {check.sends}"
    yield f"- **Proof:** {check.proves}"
    yield f"- **Why it matters:** {check.risk}"
    yield f"- **Do first:** {check.fix}"


if __name__ == "__main__":
    (HERE / "checks.md").write_text(text(), encoding="utf-8")
