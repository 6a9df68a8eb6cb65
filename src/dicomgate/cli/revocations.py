"""The gate's questions about client certificates, put to OCSP responders: what joins gate/ and iam/."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dicomgate.gate.settings import ServerTls

if TYPE_CHECKING:
    from dicomgate.iam.ocsp import OcspDesk


class Authorities:
    """Made when the first question comes: most gates ask none, and then there is no thread for it."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._desk: OcspDesk | None = None

    def ask(self, certificate: bytes, tls: ServerTls, done: Callable[[str | None], None]) -> None:
        """See `Revocations`."""
        if tls.client_ca is None:
            raise ValueError("a listener that asks for no certificate has nobody to ask about one")
        from dicomgate.iam.ocsp import OcspDesk, Question  # noqa: PLC0415 - an HTTP client, for those who want it only

        if self._desk is None:
            self._desk = OcspDesk(self._call_soon)
        self._desk.submit(Question(certificate, tls.client_ca, tls.ocsp_responder), done)

    def close(self) -> None:
        if self._desk is not None:
            self._desk.close()
