"""Draw states.svg: the state machine of PS3.8 9.2, from the table the gate runs on.

In: `dicomgate.association.transitions`. Out: SVG text; `python docs/design/draw_states.py` writes states.svg beside
this file, and a test holds the two together. Each state is a card that lists what leads out of it; arrows show the
ways between cards. What nearly every state answers alike stands once, in the box on the right.
"""

from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import escape

from dicomgate.association.transitions import COLLISION, TABLE, Action, Occurrence, State, Transition

Cell = tuple[State, Occurrence, Transition, str]
"""One cell of the table, and what to add to its text."""

# Where each card stands: column and top edge, in pixels. The life of an association runs from top to bottom.
COLUMNS = {"left": 70, "middle": 425, "right": 780, "aside": 1135}
CARDS = {
    State.IDLE: ("middle", 76),
    State.AWAITING_REQUEST: ("left", 166),
    State.AWAITING_CONNECTION: ("right", 166),
    State.AWAITING_LOCAL_DECISION: ("left", 326),
    State.AWAITING_ANSWER: ("right", 326),
    State.ESTABLISHED: ("middle", 446),
    State.AWAITING_LOCAL_RELEASE: ("left", 586),
    State.AWAITING_RELEASE_REPLY: ("right", 586),
    State.COLLISION_ACCEPTOR_REPLY: ("middle", 716),
    State.COLLISION_REQUESTOR_LOCAL: ("right", 766),
    State.COLLISION_ACCEPTOR_LOCAL: ("middle", 846),
    State.COLLISION_REQUESTOR_REPLY: ("right", 886),
    State.AWAITING_CLOSE: ("left", 846),
}
WIDTH, HEIGHT, CARD_WIDTH, LINE, HEAD = 1500, 1000, 285, 17, 30
SHARED_BY = 8
"""A transition that at least so many states have alike is told once."""
HIGHLIGHT = {State.IDLE: "#e8eef7", State.ESTABLISHED: "#e3f3e6", State.AWAITING_CLOSE: "#f7e9e4"}

OCCURRENCES = {
    Occurrence.LOCAL_REQUEST: "association wanted",
    Occurrence.CONNECTED: "TCP connected",
    Occurrence.RECEIVED_ACCEPT: "A-ASSOCIATE-AC",
    Occurrence.RECEIVED_REJECT: "A-ASSOCIATE-RJ",
    Occurrence.INCOMING_CONNECTION: "TCP connection came in",
    Occurrence.RECEIVED_REQUEST: "A-ASSOCIATE-RQ",
    Occurrence.LOCAL_ACCEPT: "accepted by us",
    Occurrence.LOCAL_REJECT: "rejected by us",
    Occurrence.LOCAL_DATA: "data from us",
    Occurrence.RECEIVED_DATA: "P-DATA-TF",
    Occurrence.LOCAL_RELEASE: "release wanted by us",
    Occurrence.RECEIVED_RELEASE_REQUEST: "A-RELEASE-RQ",
    Occurrence.RECEIVED_RELEASE_REPLY: "A-RELEASE-RP",
    Occurrence.LOCAL_RELEASE_REPLY: "release answered by us",
    Occurrence.LOCAL_ABORT: "aborted by us",
    Occurrence.RECEIVED_ABORT: "A-ABORT",
    Occurrence.CONNECTION_CLOSED: "TCP closed",
    Occurrence.ARTIM_EXPIRED: "ARTIM expired",
    Occurrence.RECEIVED_UNRECOGNIZED: "no valid PDU",
}


def draw() -> str:
    """The whole SVG document."""
    own, shared = _cells()
    parts = [_opening(), *_arrows(own)]
    for state in State:
        parts += _card(state, own[state])
    parts += _aside(shared)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cells() -> tuple[dict[State, list[Cell]], dict[tuple[Occurrence, Transition], list[State]]]:
    """What stands on the cards, and what many states share."""
    cells: list[Cell] = []
    for (state, occurrence), transition in TABLE.items():
        if (state, occurrence) == (State.AWAITING_RELEASE_REPLY, Occurrence.RECEIVED_RELEASE_REQUEST):
            continue  # the role decides
        cells.append((state, occurrence, transition, ""))
    for role, transition in COLLISION.items():
        note = f" as {role}"
        cells.append((State.AWAITING_RELEASE_REPLY, Occurrence.RECEIVED_RELEASE_REQUEST, transition, note))
    alike: dict[tuple[Occurrence, Transition], list[State]] = defaultdict(list)
    for state, occurrence, transition, _ in cells:
        alike[occurrence, transition].append(state)
    often = {transition for (_, transition), states in alike.items() if len(states) >= SHARED_BY}
    own: dict[State, list[Cell]] = defaultdict(list)
    shared: dict[tuple[Occurrence, Transition], list[State]] = defaultdict(list)
    for state, occurrence, transition, note in sorted(cells, key=lambda cell: (_number(cell[0]), _number(cell[1]))):
        # What a card has in common with the box is left to the box, so that the card keeps what is its own.
        if transition in often or transition.action in (Action.IGNORE, Action.ABORT_AS_USER):
            shared[occurrence, transition].append(state)
        else:
            own[state].append((state, occurrence, transition, note))
    return own, shared


def _number(numbered: State | Occurrence) -> int:
    return int(numbered.value[3:])  # Sta13, Evt19


def _opening() -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#1c2733">\n'
        "<desc>Drawn by draw_states.py; change the table, not this file.</desc>\n"
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#44566c"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        '<text x="70" y="34" font-size="20" font-weight="bold">One connection of the gate: the states of PS3.8 9.2'
        "</text>\n"
        '<text x="70" y="56" fill="#5a6b7d">Left: we are called (towards who came). '
        "Right: we call (towards the archive). Ways back to Sta1 are written, not drawn.</text>"
    )


def _card(state: State, cells: list[Cell]) -> list[str]:
    x, y, height = _box(state, cells)
    name = state.name.replace("_", " ").lower()
    parts = [
        f'<rect x="{x}" y="{y}" width="{CARD_WIDTH}" height="{height}" rx="7" '
        f'fill="{HIGHLIGHT.get(state, "#f4f6f8")}" stroke="#8695a6"/>',
        f'<text x="{x + 12}" y="{y + 20}" font-weight="bold">{state.value}  {escape(name)}</text>',
    ]
    for line, (_, occurrence, transition, note) in enumerate(cells):
        text = f"{OCCURRENCES[occurrence]}{note} → {transition.state.value}"
        parts.append(_row(x + 12, y + HEAD + 13 + line * LINE, text, [state], occurrence, transition, CARD_WIDTH - 12))
    return parts


def _row(
    x: int, y: int, text: str, states: list[State], occurrence: Occurrence, transition: Transition, width: int
) -> str:
    """One line with the action's name at the right edge; each cell it stands for is in a title of its own."""
    titles = "".join(
        f"<g><title>{state.value} {occurrence.value} {transition.action.value} {transition.state.value}</title></g>"
        for state in states
    )
    action = f'<text x="{x + width - 12}" y="{y}" text-anchor="end" fill="#7a8897">{transition.action.value}</text>'
    return f'{titles}<text x="{x}" y="{y}">{escape(text)}</text>{action}'


def _box(state: State, cells: list[Cell]) -> tuple[int, int, int]:
    column, top = CARDS[state]
    return COLUMNS[column], top, HEAD + 8 + LINE * len(cells)


def _arrows(own: dict[State, list[Cell]]) -> list[str]:
    """From card to card, once for each pair, in the order of the states."""
    pairs = dict.fromkeys(
        (state, transition.state)
        for state in State
        for _, _, transition, _ in own[state]
        if transition.state not in (state, State.IDLE)
    )
    return [
        f'<path d="{_way(_box(start, own[start]), _box(end, own[end]))}" fill="none" stroke="#44566c" '
        'stroke-width="1.6" marker-end="url(#tip)"/>'
        for start, end in pairs
    ]


def _way(start: tuple[int, int, int], end: tuple[int, int, int]) -> str:
    """Down inside a column, round its left side where a card is between, sideways to another column."""
    (x, y, height), (to_x, to_y, to_height) = start, end
    if x == to_x:
        if to_y - (y + height) < 120:
            return f"M{x + CARD_WIDTH // 2} {y + height} V{to_y - 1}"
        middle = to_y + to_height // 2
        return f"M{x} {y + height // 2} H{x - 26} V{middle} H{x - 1}"
    side, to_side = (x + CARD_WIDTH, to_x - 1) if to_x > x else (x, to_x + CARD_WIDTH + 1)
    level, to_level = y + height // 2, to_y + to_height // 2
    if to_level > level + height // 2 + 20:
        to_level = to_y + 14
    bend = (side + to_side) // 2
    return f"M{side} {level} C{bend} {level} {bend} {to_level} {to_side} {to_level}"


def _aside(shared: dict[tuple[Occurrence, Transition], list[State]]) -> list[str]:
    """The box of what many states share: a heading for each group of states, a line for each event."""
    x, y = COLUMNS["aside"], CARDS[State.AWAITING_REQUEST][1]
    groups: dict[tuple[State, ...], list[tuple[Occurrence, Transition]]] = defaultdict(list)
    for cell, states in shared.items():
        groups[tuple(states)].append(cell)
    parts: list[str] = []
    top = y
    for states, cells in sorted(groups.items(), key=lambda group: (-len(group[0]), _number(group[0][0]))):
        top += 12
        parts.append(f'<text x="{x + 12}" y="{top + 10}" font-weight="bold">in {_ranges(states)}</text>')
        top += 14
        for occurrence, transition in cells:
            text = f"{OCCURRENCES[occurrence]} → {transition.state.value}"
            parts.append(_row(x + 12, top + 13, text, list(states), occurrence, transition, 321))
            top += LINE
    frame = f'<rect x="{x}" y="{y}" width="333" height="{top - y + 14}" rx="7" fill="#fdfaf0" stroke="#c3b78f"/>'
    title = f'<text x="{x}" y="{y - 10}" font-weight="bold">What many states answer alike</text>'
    return [frame, title, *parts]


def _ranges(states: tuple[State, ...]) -> str:
    """Sta3, Sta5, Sta6, Sta7 as `Sta3, Sta5-Sta7`."""
    numbers = [_number(state) for state in states]
    words: list[str] = []
    first = last = numbers[0]
    for number in [*numbers[1:], 0]:
        if number == last + 1:
            last = number
            continue
        words.append(f"Sta{first}" if first == last else f"Sta{first}-Sta{last}")
        first = last = number
    return ", ".join(words)


if __name__ == "__main__":
    Path(__file__).with_name("states.svg").write_text(draw(), encoding="utf-8")
