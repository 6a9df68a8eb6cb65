"""`[[role]]`, `[[verifier]]`, `[identity]` and `[login]`: who vouches for users, and what users may."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator

from dicomgate.config import words
from dicomgate.config.schema.fields import (
    DAY,
    Count,
    FilePath,
    Name,
    Seconds,
    Table,
    Verbs,
    seconds_up_to,
    whole_within,
)
from dicomgate.iam.settings import DeskLimits, GuardLimits
from dicomgate.policy.model import Hours, OnExpiry, Verb

_DESK, _GUARD = DeskLimits(), GuardLimits()


class Kind(StrEnum):
    """What a `[[verifier]]` asks."""

    LOCAL = "local"
    LDAP = "ldap"
    OIDC = "oidc"
    KERBEROS = "kerberos"
    SAML = "saml"


class RoleTable(Table):
    """`[[role]]`: what a verified user may do; cuts down what the peer may do."""

    name: Name = Field(description="Name of the role.")
    groups: list[str] = Field(default=[], description="Array of directory groups whose members have this role.")
    emergency: bool = Field(
        default=False,
        description="Only `dicomgate break-glass` gives this role: to one user, for a reason and a time.",
    )
    may: Verbs = Field(default=[], description=f"Array of verbs it allows: {', '.join(Verb)}. Empty: nothing.")
    archives: list[Name] | None = Field(default=None, description="Array of archives it holds at. Absent: all.")
    hours: list[Annotated[Hours, PlainValidator(words.hours)]] | None = Field(
        default=None,
        description='Array of times it holds at, in the gate\'s local time, for instance "Mon-Fri 07:00-19:00". '
        "Absent: always. Empty: never.",
    )
    sop_classes: list[Annotated[str, PlainValidator(words.sop_class)]] | None = Field(
        default=None,
        description="Array of SOP classes (UIDs or keywords) it may store, and retrieve by C-GET. Absent: all.",
    )
    on_expiry: Annotated[OnExpiry, PlainValidator(words.one_of({word.value: word for word in OnExpiry}))] = Field(
        default=OnExpiry.FINISH,
        description="When the proof of who the user is expires: finish lets a running association go on, end aborts.",
    )


class VerifierTable(Table):
    """`[[verifier]]`: who can vouch for a user. Each kind has keys of its own."""

    name: Name = Field(description="Name of the verifier.")
    kind: Annotated[Kind, PlainValidator(words.one_of({kind.value: kind for kind in Kind}))] = Field(
        description="local, ldap, oidc, kerberos or saml."
    )


class IdentityTable(Table):
    """`[identity]`: how users are verified, and what guessing is answered with."""

    workers: Annotated[int, PlainValidator(whole_within(1, 64))] = Field(
        default=_DESK.workers, description="Claims that one verifier is asked at the same time."
    )
    queue: Count = Field(
        default=_DESK.queue, description="Claims that wait or are asked, all verifiers together; more are refused."
    )
    attempts: Count = Field(
        default=_GUARD.attempts, description="Failures of one user from one address within `window` before a lockout."
    )
    attempts_per_address: Count = Field(
        default=_GUARD.attempts_per_address,
        description="The same for one address, all users together. An IPv6 address counts as its /64.",
    )
    attempts_per_user: Count = Field(
        default=_GUARD.attempts_per_user,
        description="The same for one user, all addresses together where the user was not verified before.",
    )
    window: Seconds = Field(default=_GUARD.window, description="How long a first failure and those after it count.")
    lockout: Seconds = Field(default=_GUARD.lockout, description="How long a lockout lasts; it ends by itself.")
    delay: Seconds = Field(
        default=_GUARD.delay,
        description="From a claim to its refusal at the first failure; doubled by each further one.",
    )
    longest_delay: Seconds = Field(
        default=_GUARD.longest_delay,
        description="What the doubling ends at; at most half of limits.identity is waited.",
    )
    familiar: Annotated[float, PlainValidator(seconds_up_to(365 * DAY))] = Field(
        default=_GUARD.familiar,
        description="How long an address where a user was verified is spared from `attempts_per_user`.",
    )


class LoginTable(Table):
    """`[login]`: the user of this very gate, where it stands at a desk: see `dicomgate login`."""

    issuer: Annotated[str, PlainValidator(words.provider_url)] = Field(
        description="URL of the OpenID Connect provider that the user signs in at."
    )
    client_id: Annotated[str, AfterValidator(words.plain)] = Field(
        description="Client ID of this gate at the provider: a public client that may use the device grant."
    )
    scope: Annotated[str, AfterValidator(words.plain)] = Field(
        default="openid offline_access",
        description="Scope that is asked for; offline_access lets it be renewed while the user is away.",
    )
    resource: Annotated[str, AfterValidator(words.plain)] | None = Field(
        default=None, description="Audience that is asked for (RFC 8707), where the provider wants to be told."
    )
    ca: FilePath | None = Field(
        default=None,
        description="File with the authorities that vouch for the provider's server (PEM). Absent: this machine's.",
    )
    tokens: FilePath = Field(
        default="state/login.json",
        description="File that keeps the tokens, readable by its owner only, where there is no keyring.",
    )
