"""IPsec of the kernel: its policies alone keep out what came beside the tunnel, and where it has no ESP nothing passes.

Whether the kernel of a test has ESP is not known; there is no other end here, so it does not matter.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.conftest import require, require_package
from lab.sites import Place, sites, strongswan_conf
from lab.tunnel import Tunnel, certificates, charon, pages_files, with_ipsec

pytestmark = [pytest.mark.interop, pytest.mark.system]
_ANSWERS = "import socket; s = socket.create_server(('10.20.1.5', 104)); print('ready', flush=True); s.accept()[0]"
_PROBE = "import socket; socket.create_connection(('10.20.1.5', 104), 0.7, ('10.1.1.5', 0))"


def test_policies_drop_what_was_not_protected(tmp_path: Path) -> None:
    for component in ("namespaces", "ipsec"):
        require(component)
    require_package("vici")
    with ExitStack() as stack:
        places = stack.enter_context(sites(tmp_path))
        certificates(tmp_path)
        folder = tmp_path / Place.CLOUD
        text = with_ipsec(pages_files())[Place.CLOUD]
        assert 'interface = "ipsec0"\n' in text
        (folder / "gate.toml").write_text(text.replace('interface = "ipsec0"\n', ""))
        stack.enter_context(charon(places, Place.CLOUD, strongswan_conf(folder, in_user_space=False)))
        tunnel = Tunnel("ipsec", places, {Place.CLOUD: folder}, tmp_path / "received")
        answering = [sys.executable, "-c", _ANSWERS]
        stack.enter_context(
            places.program("answers", Place.CLOUD, answering, lambda process: "ready" in process.text())
        )

        def passes() -> bool:
            return places.run(Place.HOSPITAL, sys.executable, "-c", _PROBE).returncode == 0

        tunnel.type_in(Place.CLOUD, "dicomgate channel apply -c gate.toml")
        places.do(Place.CLOUD, "nft", "delete", "table", "inet", "dicomgate_channel_hospital-cloud")
        assert not passes()
        told = tunnel.channel(Place.CLOUD, "status")
        assert (told.returncode, "there is no IKE SA" in told.stdout) == (1, True)
        assert tunnel.channel(Place.CLOUD, "down").returncode == 0
        assert passes()
