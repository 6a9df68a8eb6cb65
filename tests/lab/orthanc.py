"""Orthanc as a context manager. In: its title and whom it knows; out: its DICOM address and its REST interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.pki import Identity
from lab.process import Address, Process, free_address, running

PROGRAM = Path("/usr/sbin/Orthanc")
REST_SECONDS = 30.0
_RULES = ("DicomCheckCalledAet", "DicomModalities", "DicomAlwaysAllowEcho", "DicomAlwaysAllowStore")


class RestError(RuntimeError):
    """Orthanc answered a REST call with an HTTP error; `status` is its number."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Modality:
    """A DICOM party that Orthanc knows: it may ask this Orthanc anything, and Orthanc may call it."""

    ae_title: str
    address: Address


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc."""

    ae_title: str
    address: Address
    http: Address
    process: Process

    def get(self, path: str) -> Any:
        """GET of a JSON answer."""
        return json.loads(self._call("GET", path))

    def get_bytes(self, path: str) -> bytes:
        """GET of anything, such as `/instances/ID/file`."""
        return self._call("GET", path)

    def post(self, path: str, body: object) -> Any:
        """POST of JSON, or of bytes as they are; RestError when Orthanc could not do it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return json.loads(self._call("POST", path, content))

    def delete(self, path: str) -> None:
        """DELETE of a resource."""
        self._call("DELETE", path)

    def store(self, file: Path) -> str:
        """Put a file into it, past DICOM; the Orthanc identifier of the instance."""
        return str(self.post("/instances", file.read_bytes())["ID"])

    def find(self, level: str, **query: str) -> list[str]:
        """Orthanc identifiers at a level (`Study`, `Instance`, …) that match DICOM keywords."""
        return [str(found) for found in self.post("/tools/find", {"Level": level, "Query": query})]

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = f"http://{self.http}{path}"
        request = urllib.request.Request(url, data=body, method=method)
        # No proxy from the environment: the address is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=REST_SECONDS) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise RestError(error.code, error.read().decode("utf-8", errors="replace")) from None


@contextmanager
def orthanc(
    directory: Path,
    ae_title: str = "ORTHANC",
    *,
    address: Address | None = None,
    modalities: Mapping[str, Modality] | None = None,
    as_delivered: bool = False,
    overwrites: bool = False,
    shows: Identity | None = None,
    trusts: Path | None = None,
    also: Mapping[str, Any] | None = None,
) -> Iterator[Orthanc]:
    """Start Orthanc with an empty database. `modalities`: its symbolic names → whom it knows.

    `as_delivered`: who may do what is left to Orthanc's own defaults.
    `shows` and `trusts`: it speaks TLS only, as both sides, and wants a certificate of whoever calls.
    `also`: settings of Orthanc's own that stand in place of all others.
    `overwrites`: a second store of an instance replaces the first, as in many archives; Orthanc by itself keeps it.
    """
    address = address or free_address()
    http = free_address()
    directory.mkdir(parents=True)
    configuration = directory / "orthanc.json"
    settings = settings_of(directory, ae_title, address, http, modalities or {})
    settings["OverwriteInstances"] = overwrites
    if shows is not None:
        settings |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(shows.certificate),
            "DicomTlsPrivateKey": str(shows.key),
            "DicomTlsTrustedCertificates": str(trusts),
            "DicomTlsRemoteCertificateRequired": True,
        }
        for known in settings["DicomModalities"].values():
            known["UseDicomTls"] = True
    if as_delivered:
        settings = {key: value for key, value in settings.items() if key not in _RULES}
    configuration.write_text(json.dumps(settings | dict(also or {}), indent=1))

    def ready(process: Process) -> bool:
        return process.listens(http.port) and process.listens(address.port)

    # Its orderly end takes seconds and would only save a database that nobody reads again.
    with running("orthanc", [PROGRAM, configuration], directory, ready=ready, grace=0.2) as process:
        yield Orthanc(ae_title, address, http, process)


def settings_of(
    directory: Path, ae_title: str, address: Address, http: Address, modalities: Mapping[str, Modality]
) -> dict[str, Any]:
    """Its configuration file as a value."""
    may = ("AllowEcho", "AllowFind", "AllowGet", "AllowMove", "AllowStore", "AllowStorageCommitment")
    return {
        "Name": "lab",
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "TemporaryDirectory": str(directory),
        "Plugins": [],
        "HttpPort": http.port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": ae_title,
        "DicomPort": address.port,
        "DicomCheckCalledAet": True,
        "DicomModalities": {
            name: {"AET": known.ae_title, "Host": known.address.host, "Port": known.address.port}
            | dict.fromkeys(may, True)
            for name, known in modalities.items()
        },
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomScpTimeout": 30,
        "DicomScuTimeout": 10,
        "SyncStorageArea": False,
        "SaveJobs": False,
        "WebDavEnabled": False,
        "StableAge": 1,
    }
