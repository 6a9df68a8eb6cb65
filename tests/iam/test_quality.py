"""Which passcodes are refused, and that the reason does not repeat them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.iam.quality import LONGEST, SHORTEST, weakness


@pytest.mark.parametrize(
    "passcode",
    [
        "",
        "short",
        "password12",
        "Password123!",
        "P@ssw0rd1234",
        "qwertyuiop",
        "1234567890",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "2026-11-22-1",
        "radiology2026",
        "dicomgate1!",
        "dr.meier-2026-xkq",
        "DR.MEIER-2026-xkq",
        "x" * (LONGEST + 1),
        "correct horse\0battery staple",
        "correct horse\nbattery staple",
    ],
)
def test_refused(passcode: str) -> None:
    reason = weakness(passcode, "dr.meier")
    assert reason
    assert passcode not in reason or not passcode


@pytest.mark.parametrize(
    "passcode",
    ["vinegar tractor eleven moss", "Gx7#pLq9vT2m", "Hängematte Zwölf Kanister", "k" + "8fQz2" * 30],
)
def test_taken(passcode: str) -> None:
    assert weakness(passcode, "dr.meier") is None


def test_a_very_short_name_forbids_no_letters() -> None:
    assert weakness("vinegar tractor eleven moss", "a") is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=SHORTEST + 30), st.text(min_size=1, max_size=64))
def test_whatever_is_typed_gets_an_answer_that_does_not_repeat_it(passcode: str, name: str) -> None:
    reason = weakness(passcode, name)
    assert reason is None or len(passcode) < SHORTEST or passcode not in reason
