"""The files that a configuration names: settings in, problems with certificates, keys and authorities out."""

from collections.abc import Iterator, Mapping

from dicomgate.config.problem import Problem, Severity
from dicomgate.gate.certificates import examine
from dicomgate.gate.settings import ClientTls, GateSettings, ServerTls
from dicomgate.gate.tls import TlsFilesError, client_context, server_context


def examine_files(
    settings: GateSettings, sink_tls: Mapping[str, ClientTls], file: str, now: float
) -> Iterator[Problem]:
    """Errors for what TLS cannot be spoken with, warnings for what soon cannot be. `now`: seconds since 1970."""
    for listener in settings.listeners:
        if listener.tls is not None:
            yield from _tls(file, f"listener[{listener.name}].tls", listener.tls, now)
    for table, parties in (("archive", settings.archive_tls), ("peer", settings.peer_tls), ("sink", sink_tls)):
        for name, tls in parties.items():
            yield from _tls(file, f"{table}[{name}].tls", tls, now)


def _tls(file: str, key: str, tls: ServerTls | ClientTls, now: float) -> Iterator[Problem]:
    findings = examine(tls, now)
    for found in findings:
        severity = Severity.ERROR if found.fatal else Severity.WARNING
        yield Problem(file, f"{key}.{found.setting}", severity, found.text, found.hint)
    if not any(found.fatal for found in findings):
        try:
            server_context(tls) if isinstance(tls, ServerTls) else client_context(tls)
        except TlsFilesError as error:
            text = f"OpenSSL does not take {error.path}: {error.text}"
            hint = "keys need at least 2048 bits (RSA) or 256 (ECDSA), and certificates a signature with SHA-256"
            yield Problem(file, key, Severity.ERROR, text, hint)
