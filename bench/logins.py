"""The row `logins`: a running transfer while users log in. In: the plan; out: its table."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

from joserfc import jwt
from joserfc.jwk import RSAKey

from bench.measure import Ceiling, Metric, Plan, Ratio, Table, Values, say, take_turns
from bench.paths import UNLIMITED, Gate, GateOptions
from bench.process import LOOPBACK, Address, Load, MeasurementError

RATE = 200
ISSUER, AUDIENCE, USERS = "https://login.bench.example", "bench", 200
PASSCODE = "vinegar tractor eleven moss"
QUIET, TOKENS, PASSCODES = "gate, no logins", "gate, tokens", "gate, passcodes"
_SHARED = """
[[peer]]
name = "users"
ae_titles = ["USERS"]
networks = ["127.0.0.0/8"]
assurance = "user"
may = ["echo"]

[[role]]
name = "radiologist"
groups = ["radiologists"]
may = ["echo"]

[[verifier]]
name = "staff"
"""


class UsersGate(Gate):
    """The gate with a verifier. `logins` is the file for the load program, once it has started."""

    def __init__(self, name: str, verifier: str, profile: bool) -> None:
        more = _SHARED + verifier
        options = GateOptions(
            limits=UNLIMITED, max_associations=20000, profile=profile, clear_passcodes=True, more=more
        )
        super().__init__(options, name)
        self.logins = Path()

    def start(self, target: Address, room: Path) -> Address:
        self.logins = room / "logins.json"
        self.logins.write_text(json.dumps(self._logins(target, room)))
        return super().start(target, room)

    def _logins(self, target: Address, room: Path) -> list[tuple[str, int, str, str]]:
        return []


class TokenGate(UsersGate):
    """JSON Web Tokens, signed with RS256, verified with a key set from a file."""

    def __init__(self, profile: bool) -> None:
        verifier = f'kind = "oidc"\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\njwks = "jwks.json"\n'
        super().__init__(TOKENS, verifier, profile)

    def _logins(self, target: Address, room: Path) -> list[tuple[str, int, str, str]]:
        key = RSAKey.generate_key(2048, {"kid": "bench"}, private=True)
        (room / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600, "groups": ["radiologists"]}
        header = {"alg": "RS256", "kid": "bench", "typ": "at+jwt"}
        tokens = (
            jwt.encode(header, {**said, "sub": f"user{number}", "jti": str(number)}, key) for number in range(USERS)
        )
        return [("USERS", 5, token.encode().hex(), "") for token in tokens]


class PasscodeGate(UsersGate):
    """Local users, argon2id at its default cost. Few of them: each takes a while to add."""

    def __init__(self, profile: bool) -> None:
        super().__init__(PASSCODES, 'kind = "local"\n', profile)

    def _logins(self, target: Address, room: Path) -> list[tuple[str, int, str, str]]:
        file, passcode = room / "gate.toml", room / "passcode"
        file.write_text(self.configuration(target))
        passcode.write_text(PASSCODE)
        passcode.chmod(0o600)
        names = [f"user{number}" for number in range(4)]
        for name in names:
            command = [sys.executable, "-m", "dicomgate", "user", "add", name, "--role", "radiologist"]
            command += ["--passcode-file", str(passcode), "-c", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise MeasurementError(f"user add: {done.stderr.strip().splitlines()[-1]}")
        return [("USERS", 2, name.encode().hex(), PASSCODE.encode().hex()) for name in names]


def logins(plan: Plan) -> Iterator[Table]:
    """How much later the objects of a running transfer arrive while users log in."""
    table = Table(
        f"A running transfer beside {RATE} logins a second",
        "One association carries an object of 0.5 MB every 50 ms; latency runs from the moment each was due until its "
        f"response. Meanwhile {RATE} users a second ask for an association with an identity: each token (RS256) is "
        "verified, its user's roles are judged and the admission is recorded before the archive hears of it. Passcodes "
        "cost argon2id what they must, so most of them are turned away for the moment (2/3/1) and may come again.",
        (
            Metric("p50", "p50 ms", 1e3, 1),
            Metric("p99", "p99 ms", 1e3, 1),
            Metric("logins", "logins/s", digits=0),
            Metric("turned_away", "turned away/s", digits=0),
            Metric("login_p50", "login p50 ms", 1e3, 1),
            Metric("cpu_per_login", "gate CPU ms a login", 1e3, 2),
        ),
        (
            Ratio(f"object of a running transfer beside {RATE} logins/s by token, p99", "p99", QUIET, 2.0, 1.2, TOKENS),
            Ceiling("the same, p99 later by", "later", "ms", 10, 3, 1e3, TOKENS),
            Ceiling("the same beside passcodes, p99 later by", "later", "ms", 10, 3, 1e3, PASSCODES),
        ),
    )
    say(table.title)
    users: list[UsersGate] = [
        UsersGate(QUIET, 'kind = "local"\n', plan.profile),
        TokenGate(plan.profile),
        PasscodeGate(plan.profile),
    ]
    quiet: Values = {}

    def once(gate: UsersGate) -> Values:
        room = plan.room / f"logins-{gate.name.rpartition(' ')[2]}-{time.monotonic_ns()}"
        with Load("responder") as responder, gate.before((LOOPBACK, responder.report(10)["port"]), room) as address:
            values = _measure(gate, address, plan.probe_seconds)
        if gate.name == QUIET:
            quiet.update(values)
        elif quiet:
            done = max(1.0, values["logins"] * plan.probe_seconds)
            values |= {"later": values["p99"] - quiet["p99"], "cpu_per_login": (values["cpu"] - quiet["cpu"]) / done}
        return values

    yield take_turns(table, plan.chosen(users), plan.few_rounds, once)  # type: ignore[arg-type]


def _measure(gate: UsersGate, address: Address, seconds: float) -> Values:
    loud = gate.name != QUIET
    with Load("log_in", *address, RATE, seconds, gate.logins) as users:
        users.report(30)
        before = gate.cpu_seconds()
        with Load("pace", *address, seconds) as transfer:
            if loud:
                users.order("go")
            latencies = transfer.report(seconds + 60)["latencies"]
        cpu = gate.cpu_seconds() - before
        values = {"p50": _percentile(latencies, 50), "p99": _percentile(latencies, 99), "cpu": cpu}
        if not loud:
            return values
        told = users.report(seconds + 60)
    values |= {"logins": told["let_in"] / seconds, "turned_away": told["turned_away"] / seconds}
    return values | ({"login_p50": _percentile(told["latencies"], 50)} if told["latencies"] else {})


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
