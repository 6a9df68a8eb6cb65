"""A made-up but ordinary day of a busy hospital, as the gate would record it. In: a seed and a date; out: records.

What goes on, all of it harmless:

- 12 scanners send 20 to 40 studies each between six and eighteen o'clock, a few at night; each asks for its worklist
  every minute; two of them keep four associations open at once, and all send again what they kept after the archive
  was restarted at two in the night;
- 40 workstations query (with a key), retrieve by C-MOVE to themselves, and open their patient list (up to 80 matches)
  every quarter of an hour, mostly that of today, now and then that of another day of the last week; each proposes 60
  presentation contexts, and now and then closes without having asked;
- twice a day somebody at a workstation reads back through seven days in a few minutes;
- 6 teleradiology readers behind changing addresses retrieve by C-GET; two of them share one AE title;
- a router prefetches tomorrow's patients from 22 to 24 o'clock, 8 GB in an hour;
- a device whose rule was forgotten tries every ten minutes; a viewer has a wrong move destination and is tried twice;
- 15 users of 60 mistype their passcode once or twice in the morning;
- a load balancer's check connects every ten seconds and hangs up; twice a day something that is no DICOM comes by;
- the configuration is reloaded once, at noon.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from dicomgate.audit.record import Event, Outcome, Record

HOUR, MINUTE = 3600.0, 60.0
GIB = 1024**3


class Day:
    """Records of one day that begins at `midnight` (seconds since 1970), in the order of their time."""

    def __init__(self, midnight: float, seed: int) -> None:
        self._midnight = midnight
        self._random = random.Random(seed)
        self._records: list[Record] = []
        self._number = 0

    def records(self) -> list[Record]:
        for part in (self._scanners, self._workstations, self._readers, self._router, self._troubles, self._users):
            part()
        return sorted(self._records, key=lambda record: record.time)

    # -- pieces --------------------------------------------------------------------------------------------

    def _say(self, at: float, event: Event, outcome: Outcome = Outcome.SUCCESS, **fields: object) -> None:
        self._records.append(Record(self._midnight + at, event, outcome, **fields))  # type: ignore[arg-type]

    def _association(
        self,
        at: float,
        lasting: float,
        operations: list[dict[str, object]],
        *,
        contexts: int = 4,
        fails: bool = False,
        **who: object,
    ) -> None:
        self._number += 1
        who = {"association": f"d{int(self._midnight)}-{self._number:x}", "archive": "main", **who}
        self._say(at, Event.ASSOCIATION_REQUESTED, detail={"presentation_contexts": contexts}, **who)
        self._say(at + 0.01, Event.ASSOCIATION_ADMITTED, detail={"direction": "to_archive"}, **who)
        for number, operation in enumerate(operations, start=1):
            moment = at + 0.02 + number * lasting / (len(operations) + 1)
            detail = {"sender": "requestor", "responses": 1, **operation.pop("detail", {})}  # type: ignore[dict-item]
            self._say(moment, Event.OPERATION, status="0000", detail=detail, **who, **operation)
        told = {"operations": len(operations), "refused_operations": 0, "acceptor_implementation": "1.2.3 ARCHIVE_7"}
        by = "acceptor" if fails else "requestor"
        outcome = Outcome.FAILURE if fails else Outcome.SUCCESS
        self._say(at + lasting + 0.05, Event.ASSOCIATION_ENDED, outcome, detail={**told, "ended_by": by}, **who)

    def _times(self, count: int, begin: float, end: float) -> Iterator[float]:
        return (self._random.uniform(begin * HOUR, end * HOUR) for _ in range(count))

    # -- parties -------------------------------------------------------------------------------------------

    def _scanners(self) -> None:
        for number in range(1, 13):
            who = {"address": f"10.1.2.{number}", "calling_ae_title": f"CT{number}", "called_ae_title": "ARCHIVE"}
            who |= {"peer": f"ct-{number}", "rule": f"peer[ct-{number}].may"}
            studies = [*self._times(self._random.randint(20, 40), 6, 18), *self._times(3, 0, 6)]
            for at in studies:
                for part in range(4 if number <= 2 else 1):
                    images = self._random.randint(2, 6)
                    stores = [
                        {"verb": "store", "command": "C_STORE_RQ", "bytes": 100_000_000, "sop_instance_uid": "1.2.3"}
                        for _ in range(images)
                    ]
                    self._association(at + part, 30.0, list(stores), **who)
            for minute in range(24 * 60):
                query = {"verb": "worklist", "command": "C_FIND_RQ", "detail": {"responses": 30, "unrestricted": True}}
                self._association(minute * MINUTE + number, 0.3, [query], **who)
            self._association(2 * HOUR, 20.0, [{"verb": "store", "command": "C_STORE_RQ"}], fails=number <= 3, **who)
            for again in range(3):
                late = [{"verb": "store", "command": "C_STORE_RQ", "bytes": 10_000_000}]
                self._association(2 * HOUR + 5 * MINUTE + again, 10.0, late, **who)

    def _workstations(self) -> None:
        for number in range(1, 41):
            who = {"address": f"10.1.3.{number}", "calling_ae_title": f"WS{number}", "called_ae_title": "ARCHIVE"}
            who |= {"peer": "workstations", "rule": "peer[workstations].may", "contexts": 60}
            for quarter in range(4 * 7, 4 * 18):
                matches = self._random.randint(10, 80)
                back = 0 if self._random.random() < 0.8 else self._random.randint(1, 7)
                told = {"responses": matches + 1, "step": self._date(back)}
                query = {"verb": "find", "command": "C_FIND_RQ", "detail": told}
                asked = [] if self._random.random() < 0.01 else [query]
                self._association(quarter * 900.0 + number, 2.0, asked, **who)  # type: ignore[arg-type]
            for at in self._times(15, 7, 18):
                moved = {"verb": "move", "command": "C_MOVE_RQ", "move_destination": f"WS{number}"}
                moved["detail"] = {"responses": 200, "completed_sub_operations": 200}  # type: ignore[assignment]
                self._association(at, 20.0, [moved], **who)  # type: ignore[arg-type]

        for at in self._times(2, 8, 17):
            who = {"address": "10.1.3.5", "calling_ae_title": "WS5", "called_ae_title": "ARCHIVE"}
            who |= {"peer": "workstations", "rule": "peer[workstations].may"}
            lists = [
                {"verb": "find", "command": "C_FIND_RQ", "detail": {"responses": 40, "step": self._date(back)}}
                for back in range(7)
            ]
            self._association(at, 400.0, list(lists), **who)  # type: ignore[arg-type]

    def _date(self, back: int) -> str:
        """A list of one day, `back` days ago, as a query of it is told."""
        return f"study_date {datetime.fromtimestamp(self._midnight - back * 24 * HOUR, UTC):%Y%m%d}"

    def _readers(self) -> None:
        for number in range(1, 7):
            title = "TELE" if number <= 2 else f"TELE{number}"
            place = self._random.randint(1, 200)
            who = {"address": f"198.51.100.{place}", "calling_ae_title": title, "called_ae_title": "ARCHIVE"}
            who |= {"peer": "teleradiology", "rule": "peer[teleradiology].may", "user": f"reader{number}"}
            for at in self._times(10, 17, 23):
                got = [
                    {"verb": "get", "command": "C_STORE_RQ", "bytes": 50_000_000, "detail": {"sender": "acceptor"}}
                    for _ in range(4)
                ]
                self._association(at, 60.0, [*got, {"verb": "get", "command": "C_GET_RQ"}], **who)  # type: ignore[arg-type]

    def _router(self) -> None:
        who = {"address": "10.1.1.30", "calling_ae_title": "ROUTER", "called_ae_title": "ARCHIVE", "peer": "router"}
        for minute in range(22 * 60, 24 * 60):
            moved = {"verb": "move", "command": "C_MOVE_RQ", "move_destination": "CACHE"}
            moved["detail"] = {"responses": 270, "completed_sub_operations": 270}  # type: ignore[assignment]
            self._association(minute * MINUTE, 30.0, [moved], **who)  # type: ignore[arg-type]

    def _users(self) -> None:
        for number in self._random.sample(range(60), 15):
            for _ in range(self._random.randint(1, 2)):
                self._say(
                    self._random.uniform(7 * HOUR, 9 * HOUR),
                    Event.IDENTITY_REFUSED,
                    Outcome.REFUSED,
                    address=f"10.1.3.{number % 40 + 1}",
                    user=f"user{number}",
                    detail={"cause": "wrong_credential"},
                )

    def _troubles(self) -> None:
        refused = {"rule": "default", "status": "1/1/3", "calling_ae_title": "CT99", "called_ae_title": "ARCHIVE"}
        for tenth in range(24 * 6):
            at = tenth * 600.0 + 7
            self._say(at, Event.ASSOCIATION_REFUSED, Outcome.REFUSED, address="10.1.2.99", **refused)
        for at in self._times(2, 8, 17):
            wrong = {"verb": "move", "move_destination": "WS40 ", "status": "A801", "calling_ae_title": "WS40"}
            self._say(at, Event.OPERATION, Outcome.FAILURE, address="10.1.3.40", **wrong)
            bad = {"rule": "malformed", "reason": "not DICOM: unknown PDU type 47H"}
            self._say(at, Event.CONNECTION_REFUSED, Outcome.REFUSED, address="10.1.8.8", **bad)
        self._say(12 * HOUR, Event.CONFIGURATION_LOADED)
