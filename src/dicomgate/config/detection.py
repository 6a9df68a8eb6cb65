"""[detect] and the sinks of alerts: tables in, the frozen settings of detection and alerts out."""

from pathlib import Path

from dicomgate.config import schema
from dicomgate.config.document import Document
from dicomgate.config.kinds import AlertSink
from dicomgate.detect.settings import DetectSettings, RuleSettings
from dicomgate.sinks.alerts import AlertSettings


def detect_settings(table: schema.DetectTable) -> DetectSettings:
    """What detectors look for, and how far they may go."""
    rules: dict[str, schema.DetectRule] = {name: rule for name, rule in (table.rules or ()) if rule is not None}
    return DetectSettings(
        mode=table.mode,
        at_most=table.at_most,
        learn=table.learn,
        delay=table.delay,
        cap=table.cap,
        firewall=table.firewall,
        rules={
            name: RuleSettings(rule.mode, rule.action, rule.threshold, rule.window, rule.duration)
            for name, rule in rules.items()
        },
        honey_titles=frozenset(table.honey_titles),
        honey_users=frozenset(table.honey_users),
        honey_instances=frozenset(table.honey_instances),
    )


def alerts(document: Document, base: Path) -> tuple[AlertSettings, ...]:
    """The sinks of kind `alert`. A relative path begins at `base`."""
    return tuple(
        AlertSettings(
            name=table.name,
            gate=document.gate.table.name,
            urls_file=None if table.urls_file is None else base / table.urls_file,
            urls_env=table.urls_env,
            minimum=table.minimum,
            group=table.group,
            most_per_hour=table.most_per_hour,
        )
        for table in (entry.table for entry in document.sinks)
        if isinstance(table, AlertSink)
    )
