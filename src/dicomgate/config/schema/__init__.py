"""The tables of the configuration file as pydantic models: plain TOML values in, typed values out.

Every field's description is its documentation and the hint of its type errors. A default is the strictest value.
What the tables say together is judged in crosscheck.py; what this version cannot do yet stands in unsupported.py.
Each module holds the tables of one matter; all of them are named here.
"""

from dicomgate.config.schema.detection import DetectRule, DetectRules, DetectTable
from dicomgate.config.schema.fields import (
    LARGEST_COUNT,
    Count,
    FilePath,
    FixedNetworks,
    KiB,
    MiB,
    Name,
    Places,
    Seconds,
    Table,
    Title,
    one_or_many,
    seconds_within,
    size_within,
    whole_within,
)
from dicomgate.config.schema.gate import GateTable, LimitsTable, MetricsTable
from dicomgate.config.schema.identity import IdentityTable, Kind, LoginTable, RoleTable, VerifierTable
from dicomgate.config.schema.networks import (
    ChannelEndTable,
    ChannelTable,
    ManagementTable,
    SegmentationTable,
    SegmentTable,
    SiteTable,
    TargetTable,
)
from dicomgate.config.schema.parties import ArchiveTable, ListenerTable, PeerTable, PlaintextPasscodes
from dicomgate.config.schema.records import AuditTable, OnAuditFailure, SinkKind, SinkTable
from dicomgate.config.schema.tls import CalledTls, ClientCertificate, ClientTls, ListenerTls, Ocsp

__all__ = [
    "ARRAYS",
    "LARGEST_COUNT",
    "TABLES",
    "ArchiveTable",
    "AuditTable",
    "CalledTls",
    "ChannelEndTable",
    "ChannelTable",
    "ClientCertificate",
    "ClientTls",
    "Count",
    "DetectRule",
    "DetectRules",
    "DetectTable",
    "FilePath",
    "FixedNetworks",
    "GateTable",
    "IdentityTable",
    "KiB",
    "Kind",
    "LimitsTable",
    "ListenerTable",
    "ListenerTls",
    "LoginTable",
    "ManagementTable",
    "MetricsTable",
    "MiB",
    "Name",
    "Ocsp",
    "OnAuditFailure",
    "PeerTable",
    "Places",
    "PlaintextPasscodes",
    "RoleTable",
    "Seconds",
    "SegmentTable",
    "SegmentationTable",
    "SinkKind",
    "SinkTable",
    "SiteTable",
    "Table",
    "TargetTable",
    "Title",
    "VerifierTable",
    "one_or_many",
    "seconds_within",
    "size_within",
    "whole_within",
]


TABLES: dict[str, type[Table]] = {
    "gate": GateTable,
    "limits": LimitsTable,
    "audit": AuditTable,
    "identity": IdentityTable,
    "detect": DetectTable,
    "metrics": MetricsTable,
    "segmentation": SegmentationTable,
    "login": LoginTable,
}
"""Tables that stand at most once, `[gate]`."""

ARRAYS: dict[str, type[Table]] = {
    "listener": ListenerTable,
    "archive": ArchiveTable,
    "peer": PeerTable,
    "role": RoleTable,
    "verifier": VerifierTable,
    "sink": SinkTable,
    "site": SiteTable,
    "channel": ChannelTable,
    "segment": SegmentTable,
}
"""Tables that stand any number of times, `[[peer]]`; each has a name."""
