"""Sizes, times and endpoints: what they mean, and what is refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.config.units import bind, endpoint, seconds, size
from dicomgate.policy.model import Endpoint


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1048576, 1048576),
        ("1 MiB", 1048576),
        ("64 KiB", 65536),
        ("64KiB", 65536),
        ("1.5 KiB", 1536),
        ("7 B", 7),
        ("2 GiB", 2**31),
    ],
)
def test_sizes(written: object, meant: int) -> None:
    assert size(written) == meant


@pytest.mark.parametrize(
    "written",
    ["1 MB", "1 mib", "MiB", "", "-1 KiB", "1.3 B", "1 MiB ", "\u0661 KiB", "1", "1e3 B", True, 1.0, None, []],
)
def test_no_sizes(written: object) -> None:
    with pytest.raises(ValueError, match="expected a size, came"):
        size(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("15 s", 15),
        ("10 min", 600),
        ("24 h", 86400),
        ("500 ms", 0.5),
        ("1 d", 86400),
        ("0.1 s", 0.1),
        (15, 15),
        (0.25, 0.25),
    ],
)
def test_times(written: object, meant: float) -> None:
    found = seconds(written)
    assert found == meant
    assert isinstance(found, float)


@pytest.mark.parametrize(
    "written", ["15", "15 sec", "15 S", "1 m", "soon", "", "-1 s", float("nan"), float("inf"), 10**400, False, None, {}]
)
def test_no_times(written: object) -> None:
    with pytest.raises(ValueError, match="expected a time, came"):
        seconds(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10.1.1.20:11112", Endpoint("10.1.1.20", 11112)),
        ("[::1]:104", Endpoint("::1", 104)),
        ("[2001:DB8:0::5]:104", Endpoint("2001:db8::5", 104)),
        ("archive.north.example:104", Endpoint("archive.north.example", 104)),
        ("pacs_1:65535", Endpoint("pacs_1", 65535)),
    ],
)
def test_endpoints(written: str, meant: Endpoint) -> None:
    assert endpoint(written) == meant
    assert endpoint(str(meant)) == meant


@pytest.mark.parametrize(
    "written",
    [
        *("", ":", "104", ":104", "10.1.1.20", "10.1.1.20:", "10.1.1.20:0", "10.1.1.20:65536", "10.1.1.20:-1"),
        *(
            "10.1.1.20:104 ",
            " 10.1.1.20:104",
            "10.1.1:104",
            "1:104",
            "300.1.1.1:104",
            "10.1.1.20.:104",
            "010.1.1.20:104",
        ),
        *(
            "::1:104",
            "[::1]",
            "[::1:104",
            "[10.1.1.20]:104",
            "[localhost]:104",
            "[]:104",
            "a..b:104",
            "-a:104",
            "*:104",
        ),
        *(
            "http://archive:104",
            "archive/x:104",
            "röntgen:104",
            "a" * 64 + ":104",
            "a." * 130 + "a:104",
            "a:\u0661",
            104,
            True,
            [],
        ),
    ],
)
def test_no_endpoints(written: object) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        endpoint(written)


def test_binding_takes_any_free_port_but_no_names() -> None:
    assert bind("127.0.0.1:0") == Endpoint("127.0.0.1", 0)
    assert bind("[::]:104") == Endpoint("::", 104)
    with pytest.raises(ValueError, match=r"expected a literal address"):
        bind("localhost:104")
    with pytest.raises(ValueError, match=r'write "0\.0\.0\.0:104"'):
        bind("*:104")


@given(st.text() | st.text("0123456789.:[]abcdef-%", max_size=30))
def test_any_text_is_an_endpoint_that_reads_back_or_a_value_error(text: str) -> None:
    refusal = ""
    try:
        assert endpoint(str(endpoint(text))) == endpoint(text)
    except ValueError as error:
        refusal = str(error)
    assert refusal.isprintable()


@pytest.mark.parametrize("read", [size, seconds])
@given(value=st.floats() | st.integers() | st.text() | st.text("0123456789. KMiBsmhd", max_size=8))
def test_any_value_is_a_quantity_or_a_value_error(read: Callable[[object], float], value: object) -> None:
    refusal = ""
    try:
        assert isinstance(read(value), int | float)
    except ValueError as error:
        refusal = str(error)
    assert refusal.isprintable()
