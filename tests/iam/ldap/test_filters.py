"""Filters: what the text means on the wire, and that no name can change it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.iam import ber
from dicomgate.iam.ldap import filters
from dicomgate.iam.ldap.filters import NotAFilterError, encode, parse, placeholders

NAMES = [
    "*",
    "a*",
    "(",
    ")",
    "\\",
    "\\2a",
    "\0",
    "alice\0",
    ")(uid=*",
    "alice)(|(uid=*",
    "*)(objectClass=*",
    "{user}",
    "{dn}",
    "müller",
    "ﬁ",
    "😀",
    "\u202egnp",
    "x" * 256,
    " ",
    "=",
    "&|!~><:",
]


def assertion(encoded: bytes) -> tuple[int, bytes, bytes]:
    """Tag, attribute and value of a filter that compares one attribute."""
    (whole,) = ber.elements(encoded)
    attribute, value = ber.elements(whole.contents)
    return whole.tag, attribute.expect(ber.OCTET_STRING), value.expect(ber.OCTET_STRING)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_compared_and_never_read(name: str) -> None:
    """RFC 4515 3 would have these escaped; here they never stand in a text."""
    assert assertion(encode(parse("(uid={user})"), {"user": name})) == (filters.EQUAL, b"uid", name.encode())


@given(st.text())
def test_any_name_leaves_the_filter_as_it_was_written(name: str) -> None:
    written = "(&(objectClass=person)(|(uid={user})(mail={user}@clinic.example))(!(cn=x*y)))"
    (whole,) = ber.elements(encode(parse(written), {"user": name}))
    first, second, third = ber.elements(whole.contents)
    assert assertion(ber.encode(first.tag, first.contents)) == (filters.EQUAL, b"objectClass", b"person")
    by_uid, by_mail = ber.elements(second.expect(filters.OR))
    assert assertion(ber.encode(by_uid.tag, by_uid.contents))[2] == name.encode()
    assert assertion(ber.encode(by_mail.tag, by_mail.contents))[2] == name.encode() + b"@clinic.example"
    assert third.tag == filters.NOT


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("(uid=alice)", "a30c 0403756964 0405616c696365"),
        ("(uid>=1)", "a508 0403756964 040131"),
        ("(uid<=1)", "a608 0403756964 040131"),
        ("(uid~=a)", "a808 0403756964 040161"),
        ("(objectClass=*)", "870b 6f626a656374436c617373"),
        ("(cn=)", "a306 0402636e 0400"),
        ("(cn=a*)", "a409 0402636e 3003 800161"),
        ("(cn=*a)", "a409 0402636e 3003 820161"),
        ("(cn=a*b*c)", "a40f 0402636e 3009 800161 810162 820163"),
        (r"(cn=\2a\28\29\5c\00)", "a30b 0402636e 04052a28295c00"),
        (r"(cn=\c3\bc)", "a308 0402636e 0402c3bc"),
        ("(cn=ü)", "a308 0402636e 0402c3bc"),
        ("(!(cn=a))", "a209 a307 0402636e 040161"),
        ("(&(cn=a)(cn=b))", "a012 a307 0402636e 040161 a307 0402636e 040162"),
        ("(member:1.2.3:=x)", "a912 8105312e322e33 82066d656d626572 830178"),
        ("(cn:dn:2.4.6:=x)", "a911 8105322e342e36 8202636e 830178 8401ff"),
        ("(:1.2.3:=x)", "a90a 8105312e322e33 830178"),
        ("(memberUid;lang-de=a)", "a316 0411 6d656d6265725569643b6c616e672d6465 040161"),
    ],
)
def test_on_the_wire(text: str, wire: str) -> None:
    assert encode(parse(text), {}).hex() == wire.replace(" ", "")


def test_active_directory_s_rule_takes_a_full_name_as_it_is() -> None:
    dn = r"CN=O'Neil\, Pat (MD)*,OU=Staff,DC=clinic,DC=example"
    (whole,) = ber.elements(encode(parse("(member:1.2.840.113556.1.4.1941:={dn})"), {"dn": dn}))
    assert [part.contents for part in ber.elements(whole.contents)] == [
        b"1.2.840.113556.1.4.1941",
        b"member",
        dn.encode(),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uid=alice",
        "(uid=alice",
        "(uid=alice))",
        "(uid)",
        "(=alice)",
        "(uid=a(b)",
        "()",
        "(&)",
        "(!(a=b)(c=d))",
        r"(uid=\2)",
        r"(uid=\zz)",
        "(cn=a**b)",
        "(cn=**)",
        "(display name=x)",
        "(uid={user}*)",
        "(uid=*{user}*)",
        "(::=x)",
        "(a:b:c:d:=x)",
        "(" * 40 + "a=b" + ")" * 40,
        "(!" * 40 + "(a=b)" + ")" * 40,
        "(cn=" + "x" * 5000 + ")",
    ],
)
def test_what_is_no_filter_is_said_so(text: str) -> None:
    with pytest.raises(NotAFilterError, match="expected"):
        parse(text)


@given(st.text(alphabet="()&|!=*\\:~<>{}user0a;. "))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    try:
        found = parse(text)
    except NotAFilterError:
        return
    values = dict.fromkeys(placeholders(found), "x")
    assert list(ber.elements(encode(found, values)))


def test_placeholders_are_found_wherever_they_stand() -> None:
    assert placeholders(parse("(&(cn=x*)(!(|(a={user})(b:1.2:={dn}))))")) == {"user", "dn"}
    assert placeholders(parse("(objectClass=*)")) == frozenset()
