"""A certified OpenID provider as a context manager, and a user who signs in at it. Needs node 20 and `npm ci`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import httpx
from joserfc.jwk import ECKey, KeySet, RSAKey

from lab.pki import SERVER, Authority, Identity, trusting
from lab.process import Process, free_address, running

HERE = Path(__file__).with_name("openid")
PACKAGE = HERE / "node_modules" / "oidc-provider"
NODE = Path(shutil.which("node") or "/usr/bin/node")
AUDIENCE = "https://gate.lab.example"
USERS = {
    "alice": {"password": "alice-pw", "groups": ["radiologists"]},
    "bob": {"password": "bob-pw", "groups": ["technologists", "night shift"]},
}


@dataclass(frozen=True)
class OpenIdProvider:
    """`ca` vouches for its server. Its clients desk, desk-es256, desk-opaque and desk-bound use the device grant."""

    issuer: str
    ca: Path
    process: Process
    audience: str = AUDIENCE
    gate: tuple[str, str] = ("gate", "gate-secret")
    authority: Authority = field(kw_only=True)

    def client(self, identity: Identity | None = None) -> httpx.Client:
        """A browser or a program, with a certificate of its own if it has one."""
        context = trusting(self.ca, protocols=()) if identity is None else identity.context(self.ca, protocols=())
        return httpx.Client(verify=context, trust_env=False, timeout=20)

    def tokens(
        self, client_id: str = "desk", user: str = "alice", identity: Identity | None = None
    ) -> dict[str, object]:
        """The token answer of a user who has signed in by the device grant."""
        with self.client(identity) as web:
            form = {"client_id": client_id, "scope": "openid offline_access groups"}
            invitation = web.post(f"{self.issuer}/device/auth", data=form).raise_for_status().json()
            self.approve(invitation["verification_uri_complete"], user)
            grant = "urn:ietf:params:oauth:grant-type:device_code"
            form = {"client_id": client_id, "grant_type": grant, "device_code": invitation["device_code"]}
            found: dict[str, object] = web.post(f"{self.issuer}/token", data=form).raise_for_status().json()
            return found

    def approve(self, url: str, user: str = "alice") -> None:
        """What the user does: open the page, confirm the code, sign in."""
        with self.client() as web:
            answer = web.get(url)
            for _ in range(20):
                if answer.is_redirect:
                    answer = web.get(urljoin(str(answer.url), answer.headers["location"]))
                elif 'data-step="sign-in"' in answer.text:
                    typed = {"name": user, "password": USERS[user]["password"]}
                    answer = web.post(str(answer.url), data=typed)
                elif 'name="xsrf"' in answer.text:
                    found = re.search(r'action="([^"]+)"', answer.text)
                    assert found is not None
                    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text)) | {"confirm": "yes"}
                    answer = web.post(found[1], data=fields)
                else:
                    assert answer.text == "signed in", answer.text[:500]
                    return
            raise AssertionError(f"still at {answer.url}")


@contextmanager
def openid_provider(
    directory: Path, *, port: int | None = None, lifetime: int = 300, authority: Authority | None = None
) -> Iterator[OpenIdProvider]:
    """Started again in the same directory it has the same keys, unless keys.json is gone."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = authority or Authority(directory / "pki")
    identity = authority.issue("openid", names=["localhost"], usage=[SERVER])
    port = port or free_address().port
    issuer = f"https://localhost:{port}"
    keys = directory / "keys.json"
    settings = {
        "issuer": issuer,
        "port": port,
        "key": str(identity.key),
        "certificate": str(identity.certificate),
        "keys": str(keys),
        "audience": AUDIENCE,
        "lifetime": lifetime,
        "users": USERS,
    }
    if not keys.exists():
        keys.write_text(json.dumps(_new_keys()))
    file = directory / "provider.json"
    file.write_text(json.dumps(settings))
    command = [NODE, HERE / "server.mjs", file]
    with running(
        "openid", command, directory, ready=lambda process: "listening" in process.text(), seconds=60
    ) as process:
        yield OpenIdProvider(issuer, authority.certificate, process, authority=authority)


def _new_keys() -> dict[str, object]:
    """Signing keys. Made here: now and then Node comes to a standstill over keys that it has made and exports."""
    rsa = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    ec = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    return dict(KeySet([rsa, ec]).as_dict(private=True))
