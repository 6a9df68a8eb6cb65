"""A Document without errors in; the frozen settings that the gate runs with out. Paths become absolute here."""

from dataclasses import fields
from pathlib import Path

from dicomgate.config import schema
from dicomgate.config.detection import detect_settings
from dicomgate.config.document import Document
from dicomgate.config.identity import verifiers
from dicomgate.config.units import literal
from dicomgate.gate.settings import (
    ClientTls,
    ConnectionLimits,
    GateSettings,
    ListenerSettings,
    NamedIdentity,
    ServerTls,
)
from dicomgate.iam.settings import DeskLimits, GuardLimits, IdentitySettings
from dicomgate.policy.model import Archive, Listener, Networks, Peer, Role, Rules
from dicomgate.session.limits import SessionLimits
from dicomgate.store.settings import TrailSettings


def build(document: Document, base: Path) -> GateSettings:
    """Every value has been judged before; nothing here can fail. Relative paths begin at `base`."""
    gate, limits = document.gate.table, document.limits.table
    listeners = [entry.table for entry in document.listeners]
    archives = tuple(_archive(entry.table) for entry in document.archives)
    names = tuple(archive.name for archive in archives)
    return GateSettings(
        name=gate.name,
        listeners=tuple(
            ListenerSettings(
                table.name,
                table.bind,
                Networks.of(table.proxy_protocol_from),
                None if table.tls is None else _server_tls(table.tls, base),
            )
            for table in listeners
        ),
        rules=Rules(
            listeners=tuple(map(_listener, listeners)),
            archives=archives,
            peers=tuple(_peer(entry.table, names) for entry in document.peers),
            roles=tuple(_role(entry.table) for entry in document.roles),
            verifiers=tuple(entry.table.name for entry in document.verifiers),
            mode=gate.mode,
            refusals=gate.refusals,
            find_refusal_status=gate.find_refusal_status,
        ),
        session=SessionLimits(**{field.name: getattr(limits, field.name) for field in fields(SessionLimits)}),
        connections=ConnectionLimits(**{field.name: getattr(limits, field.name) for field in fields(ConnectionLimits)}),
        on_audit_failure=document.audit.table.on_failure.value,
        detect=detect_settings(document.detect.table),
        archive_tls={
            entry.table.name: _client_tls(entry.table.tls, base) for entry in document.archives if entry.table.tls
        },
        peer_tls={entry.table.name: _client_tls(entry.table.tls, base) for entry in document.peers if entry.table.tls},
    )


def _listener(table: schema.ListenerTable) -> Listener:
    return Listener(
        table.name,
        Networks.of(table.networks),
        verifiers=None if table.verifiers is None else tuple(table.verifiers),
        channels=None if table.channels is None else frozenset(table.channels),
        plaintext_passcodes=table.plaintext_passcodes is schema.PlaintextPasscodes.UNSAFE_ACCEPT,
    )


def _role(table: schema.RoleTable) -> Role:
    return Role(
        table.name,
        tuple(table.groups),
        frozenset(table.may),
        archives=None if table.archives is None else tuple(table.archives),
        hours=None if table.hours is None else tuple(table.hours),
        sop_classes=None if table.sop_classes is None else frozenset(table.sop_classes),
        on_expiry=table.on_expiry,
        emergency=table.emergency,
    )


def build_identity(document: Document, base: Path) -> IdentitySettings:
    """How users are verified; like `build`."""
    table = document.identity.table
    return IdentitySettings(
        desk=DeskLimits(table.workers, table.queue, document.limits.table.identity),
        guard=GuardLimits(**{field.name: getattr(table, field.name) for field in fields(GuardLimits)}),
        verifiers=verifiers(document, base),
        emergency_roles=frozenset(entry.table.name for entry in document.roles if entry.table.emergency),
    )


def build_trail(document: Document, base: Path) -> TrailSettings:
    """How records are kept; paths as in `build`."""
    audit = document.audit.table
    return TrailSettings(
        checkpoint_interval=audit.checkpoint_interval,
        checkpoint_records=audit.checkpoint_records,
        checkpoint_file=None if audit.checkpoint_file is None else base / audit.checkpoint_file,
        signing_key=None if audit.signing_key is None else base / audit.signing_key,
        pseudonym_key=None if audit.pseudonym_key is None else base / audit.pseudonym_key,
        keep=audit.keep,
    )


def _server_tls(table: schema.ListenerTls, base: Path) -> ServerTls:
    return ServerTls(
        certificate=base / table.certificate,
        key=base / table.key,
        client_ca=None if table.client_ca is None else base / table.client_ca,
        client_certificate_required=table.client_certificate is schema.ClientCertificate.REQUIRED,
        crl=None if table.crl is None else base / table.crl,
        profile=table.profile,
        ocsp=table.ocsp is schema.Ocsp.REQUIRE,
        ocsp_responder=table.ocsp_responder,
        others=tuple(NamedIdentity(tuple(n.names), base / n.certificate, base / n.key) for n in table.sni),
    )


def _client_tls(table: schema.CalledTls, base: Path) -> ClientTls:
    return ClientTls(
        ca=base / table.ca,
        certificate=None if table.certificate is None else base / table.certificate,
        key=None if table.key is None else base / table.key,
        name=table.name,
        spki=frozenset(table.spki),
        profile=table.profile,
    )


def _archive(table: schema.ArchiveTable) -> Archive:
    if table.networks is None:
        # Only literal addresses: what a host name means later must not decide who may pass for the archive.
        networks = Networks.of(place.host for place in table.address if literal(place.host) is not None)
    else:
        networks = Networks.of(table.networks)
    titles = [table.ae_title] if table.calling_ae_titles is None else table.calling_ae_titles
    return Archive(
        name=table.name,
        ae_title=table.ae_title,
        endpoints=tuple(table.address),
        networks=networks,
        calling_ae_titles=tuple(titles),
        calling_ae=table.calling_ae,
        max_associations=table.max_associations,
        identity=table.identity,
        certificates=None if table.certificates is None else tuple(table.certificates),
        calling_ae_of_user=tuple((name, title) for kind, name, title in table.calling_ae_map if kind == "user"),
        calling_ae_of_role=tuple((name, title) for kind, name, title in table.calling_ae_map if kind == "role"),
        tamper=table.tamper,
        tamper_hold=table.tamper_hold,
    )


def _peer(table: schema.PeerTable, archives: tuple[str, ...]) -> Peer:
    return Peer(
        name=table.name,
        ae_titles=tuple(table.ae_titles),
        networks=Networks.of(table.networks),
        listeners=None if table.listeners is None else frozenset(table.listeners),
        assurance=table.assurance,
        may=frozenset(table.may),
        move_to=tuple(table.move_to),
        archives=archives if table.archive is None else tuple(table.archive),
        endpoint=table.address,
        sop_classes=None if table.sop_classes is None else frozenset(table.sop_classes),
        transfer_syntaxes=None if table.transfer_syntaxes is None else frozenset(table.transfer_syntaxes),
        max_associations=table.max_associations,
        certificates=None if table.certificates is None else tuple(table.certificates),
        verifiers=None if table.verifiers is None else tuple(table.verifiers),
        username_roles=None if table.username_roles is None else tuple(table.username_roles),
        channels=None if table.channels is None else frozenset(table.channels),
        never_block=table.never_block,
        corrections=table.corrections,
    )
