"""nft that is missing, refuses, hangs or lies: NftError and nothing else. A shell script stands in for nft."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dicomgate.segment import kernel
from dicomgate.segment.kernel import NftError, comparable

LISTING = """\
table inet dicomgate {
	set banned4 {
		type ipv4_addr
		flags interval,timeout
		elements = { 10.0.0.0/24 timeout 3600s,
			     10.1.1.1 timeout 30s }
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		meta nfproto @trial goto rules_22222222_input
		goto rules_11111111_input
	}

	chain rules_11111111_input {
		jump rules_11111111_judge
	}

	chain rules_22222222_input {
		jump rules_22222222_judge
		tcp dport 104 drop
	}
}
"""  # noqa: E101 - as nft prints it

Program = Callable[[str], None]


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    def made(script: str) -> None:
        program = tmp_path / "nft"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return made


@pytest.mark.parametrize(
    "answer",
    ["", "nonsense", "[]", "{}", '{"nftables": 5}', '{"nftables": [5]}', "\\000\\377", "{" * 5000, "[" * 100_000],
)
def test_garbage_is_an_error(nft: Program, answer: str) -> None:
    nft(f"printf '{answer}'")
    with pytest.raises(NftError, match="no listing"):
        kernel.loaded()


def test_a_refusal_gives_nfts_first_line(nft: Program) -> None:
    nft('cat >/dev/null; echo "/dev/stdin:3: Error: syntax error" >&2; echo more >&2; exit 1')
    with pytest.raises(
        NftError, match=r"^nft refused: /dev/stdin:3: Error: syntax error\n  hint: nothing was changed$"
    ):
        kernel.load(["add table inet dicomgate"])


def test_without_rights_the_hint_says_so(nft: Program) -> None:
    nft('echo "Operation not permitted (you must be root)" >&2; exit 1')
    with pytest.raises(NftError, match="CAP_NET_ADMIN"):
        kernel.loaded()


def test_a_program_that_hangs_is_given_up(nft: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "SECONDS", 0.2)
    nft("exec sleep 60")
    with pytest.raises(NftError, match="did not answer"):
        kernel.loaded()


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.shutil, "which", lambda name, path=None: None)
    with pytest.raises(NftError, match="nft is not installed"):
        kernel.loaded()
    with pytest.raises(NftError, match="unshare is not installed"):
        kernel.rehearsed("")


def test_a_table_of_others_is_not_ours(nft: Program) -> None:
    nft("""printf '{"nftables": [{"table": {"family": "ip", "name": "dicomgate"}}]}'""")
    assert kernel.loaded().text == ""


def test_listings_are_compared_without_what_may_differ() -> None:
    shown = comparable(LISTING, "22222222")
    assert "\t\tgoto rules_input" in shown
    assert "\t\tjump rules_judge" in shown
    assert "\t\ttcp dport 104 drop" in shown
    assert not [line for line in shown if "11111111" in line or "elements" in line or "10.1.1.1" in line]
    assert "\t\ttcp dport 104 drop" not in comparable(LISTING, "11111111")
