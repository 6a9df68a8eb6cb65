"""The tables against the types they become: same names, same defaults, all documented."""

from dataclasses import fields

import pytest

from dicomgate.config import schema
from dicomgate.gate.settings import ConnectionLimits
from dicomgate.iam.settings import DeskLimits, GuardLimits
from dicomgate.policy.model import Archive, Peer
from dicomgate.session.limits import SessionLimits

MODELS = [*schema.TABLES.values(), *schema.ARRAYS.values(), schema.ListenerTls, schema.ClientTls]


def test_limits_are_those_of_session_and_gate() -> None:
    wanted = {
        field.name: getattr(limits, field.name)
        for limits in (SessionLimits(), ConnectionLimits())
        for field in fields(limits)
    }
    assert {name: field.default for name, field in schema.LimitsTable.model_fields.items()} == wanted


def test_identity_is_that_of_desk_and_guard() -> None:
    wanted = {
        field.name: getattr(limits, field.name) for limits in (DeskLimits(), GuardLimits()) for field in fields(limits)
    }
    assert wanted.pop("deadline") == SessionLimits().identity
    assert {name: field.default for name, field in schema.IdentityTable.model_fields.items()} == wanted
    assert schema.IdentityTable.model_validate(wanted) == schema.IdentityTable()


def test_every_default_of_the_limits_is_within_its_own_bounds() -> None:
    table = schema.LimitsTable()
    assert schema.LimitsTable.model_validate(table.model_dump()) == table


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_documented(model: type[schema.Table]) -> None:
    assert model.__doc__
    assert [name for name, field in model.model_fields.items() if not (field.description or "").strip()] == []


def test_defaults_are_those_of_the_rules() -> None:
    peer, archive = schema.PeerTable.model_fields, schema.ArchiveTable.model_fields
    assert peer["assurance"].default is Peer("x").assurance
    assert archive["max_associations"].default == Archive("x", "X", ()).max_associations
    assert schema.GateTable().find_refusal_status == 0xC000


def test_every_named_table_requires_its_name() -> None:
    assert all(model.model_fields["name"].is_required() for model in schema.ARRAYS.values())
