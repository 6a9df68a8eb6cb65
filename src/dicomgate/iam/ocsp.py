"""Has a client certificate been revoked? Asked of its authority's OCSP responder (RFC 6960), never on the event loop.

In: a certificate (DER) that OpenSSL has found valid, and the authorities it may come from. Out: None when the authority
vouches for it now, else why it is refused. No answer is no: whoever wants revocation asked does not want it guessed.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

TIMEOUT = 5.0
"""Seconds for one question. The handshake has its own deadline besides."""
LARGEST_ANSWER = 64 * 1024
WORKERS = 4
MOST_WAITING = 256
MOST_REMEMBERED = 4096
LONGEST_MEMORY = timedelta(hours=1)
"""However long an answer says it holds, it is asked again after this."""
SKEW = timedelta(minutes=5)
_AT_ONCE = timedelta(minutes=10)
"""How old an answer may be that does not say how long it holds."""

Answer = str | None


@dataclass(frozen=True, slots=True)
class Question:
    """`authorities` is the file of the listener's `client_ca`; `responder` replaces the address in the certificate."""

    certificate: bytes
    authorities: Path
    responder: str | None = None


@dataclass(frozen=True, slots=True)
class _Good:
    until: datetime


class OcspDesk:
    """Asks on worker threads; `call_soon` posts an answer to the event loop. `now` is the wall clock."""

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._call_soon = call_soon
        self._now = now
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="dicomgate-ocsp")
        self._lock = threading.Lock()
        self._waiting = 0
        self._good: OrderedDict[bytes, datetime] = OrderedDict()

    def submit(self, question: Question, done: Callable[[Answer], None]) -> None:
        """`done` is called once, on the event loop. Never blocks."""
        with self._lock:
            full = self._waiting >= MOST_WAITING
            self._waiting += not full
        if full:
            self._call_soon(lambda: done("too many certificates wait to be asked about"))
            return
        self._pool.submit(self._work, question, done)

    def close(self) -> None:
        """What still waits is dropped: nobody is there to be told."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, question: Question, done: Callable[[Answer], None]) -> None:
        try:
            answer = self._ask(question)
        except Exception as bug:  # whatever it is, it must not let anybody in, nor leave anybody waiting
            answer = f"revocation could not be judged: {type(bug).__name__}"
        with self._lock:
            self._waiting -= 1
        self._call_soon(lambda: done(answer))

    def _ask(self, question: Question) -> Answer:
        now = self._now()
        with self._lock:
            until = self._good.get(question.certificate)
        if until is not None and now < until:
            return None
        leaf = x509.load_der_x509_certificate(question.certificate)
        try:
            issuer = _issuer(leaf, x509.load_pem_x509_certificates(question.authorities.read_bytes()))
        except (OSError, ValueError) as error:
            return f"its authority could not be read: {getattr(error, 'strerror', None) or 'not PEM'}"
        if issuer is None:
            return "the authority that issued it does not stand in client_ca itself, so its revocation cannot be asked"
        url = question.responder or _responder(leaf)
        if url is None:
            return "it names no OCSP responder, and none is configured"
        try:
            found = _judge(_fetch(url, leaf, issuer), leaf, issuer, now)
        except httpx.HTTPError as error:
            return f"its OCSP responder gave no answer: {type(error).__name__}"
        if not isinstance(found, _Good):
            return found
        with self._lock:
            self._good[question.certificate] = min(found.until, now + LONGEST_MEMORY)
            self._good.move_to_end(question.certificate)
            if len(self._good) > MOST_REMEMBERED:
                self._good.popitem(last=False)
        return None


def _issuer(leaf: x509.Certificate, authorities: list[x509.Certificate]) -> x509.Certificate | None:
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority
    return None


def _responder(leaf: x509.Certificate) -> str | None:
    """The address that the certificate gives (RFC 5280 4.2.2.1); plain http is usual, since answers are signed."""
    try:
        places = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    for place in places:
        if place.access_method == AuthorityInformationAccessOID.OCSP:
            url = place.access_location.value
            if isinstance(url, str) and url.startswith(("http://", "https://")):
                return url
    return None


def _fetch(url: str, leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    # SHA-1 only names the issuer here, and is what every responder knows (RFC 5019 2.1.1).
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build()  # noqa: S303
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    body = request.public_bytes(Encoding.DER)
    with (
        httpx.Client(trust_env=False, timeout=TIMEOUT, follow_redirects=False) as client,
        client.stream("POST", url, content=body, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            return b""
        answer = bytearray()
        for piece in response.iter_bytes():
            answer += piece
            if len(answer) > LARGEST_ANSWER:
                return b""
        return bytes(answer)


def _judge(answer: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime) -> _Good | str:
    """The checks of RFC 6960 3.2, in its order; a sentence when one fails."""
    try:
        response = ocsp.load_der_ocsp_response(answer)
    except ValueError:
        return "its OCSP responder did not answer with an OCSP response"
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return f"its OCSP responder answered {response.response_status.name.lower().replace('_', ' ')}"
    try:
        if response.serial_number != leaf.serial_number or response.issuer_name_hash != _name_hash(response, issuer):
            return "its OCSP responder answered about another certificate"
        if not _signed(response, issuer, now):
            return "the answer of its OCSP responder is not signed by its authority"
        status = response.certificate_status
        begins, ends = response.this_update_utc, response.next_update_utc
    except (ValueError, UnsupportedAlgorithm):
        return "its OCSP responder answered what cannot be read"
    if begins > now + SKEW or (ends or begins + _AT_ONCE) < now - SKEW:
        return "the answer of its OCSP responder is out of date"
    match status:
        case ocsp.OCSPCertStatus.GOOD:
            return _Good(ends or now)
        case ocsp.OCSPCertStatus.REVOKED:
            return "it has been revoked"
        case _:
            return "its OCSP responder does not know it"


def _name_hash(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> bytes:
    digest = hashes.Hash(response.hash_algorithm)
    digest.update(issuer.subject.public_bytes())
    return digest.finalize()


def _signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> bool:
    """By the authority itself, or by whom it has named for that (RFC 6960 4.2.2.2)."""
    return any(
        _verifies(signer, response)
        for signer in (issuer, *(each for each in response.certificates if _named_for_it(each, issuer, now)))
    )


def _named_for_it(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        signer.verify_directly_issued_by(issuer)
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    in_time = signer.not_valid_before_utc <= now <= signer.not_valid_after_utc
    return in_time and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _verifies(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, signature, signed = signer.public_key(), response.signature, response.tbs_response_bytes
    algorithm = response.signature_hash_algorithm
    try:
        match key:
            case rsa.RSAPublicKey() if algorithm is not None:
                key.verify(signature, signed, padding.PKCS1v15(), algorithm)
            case ec.EllipticCurvePublicKey() if algorithm is not None:
                key.verify(signature, signed, ec.ECDSA(algorithm))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(signature, signed)
            case _:
                return False
    except InvalidSignature:
        return False
    return True
