"""What to write where: a device's certificate and its folder in; lines for DICOM toolkits and for the gate out.

In the lines, PEER, HOST and PORT are the other side's. All else can be used as it stands.
"""

import json
import shlex
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from dicomgate.pki.authority import CHAIN, KEY, KEY_STORE, TRUST, TRUST_STORE, Issued
from dicomgate.pki.names import Address
from dicomgate.pki.words import Usage

TLS_PORT = 2762
"""PS3.15 B.12: recommended for DICOM with TLS."""


def instructions(one: Issued, folder: Path) -> list[str]:
    """All lines for a device; `folder` is its folder as it shall be named in them."""
    lines = [*_files(one, folder)]
    if (one.folder / KEY).exists():
        lines += [*_dcmtk(one, folder), *_orthanc(folder)]
    if (one.folder / KEY_STORE).exists():
        lines += _dcm4che(one, folder)
    if one.holder.ae_titles and one.holder.usage is not Usage.SERVER:
        lines += _peer(one)
    return lines


def _files(one: Issued, folder: Path) -> list[str]:
    meanings = {
        KEY: "private key: for the device alone",
        CHAIN: "its certificate, and the issuing authority's",
        TRUST: "whom it shall trust",
        KEY_STORE: "key and chain as PKCS#12",
        TRUST_STORE: "whom it shall trust, as PKCS#12 for Java",
    }
    return ["# files", *(f"{folder / name}  {text}" for name, text in meanings.items() if (one.folder / name).exists())]


def _dcmtk(one: Issued, folder: Path) -> list[str]:
    tls = f"+tls {_quoted(folder / KEY)} {_quoted(folder / CHAIN)} +cf {_quoted(folder / TRUST)}"
    own = f"-aet {shlex.quote(one.holder.ae_titles[0])} " if one.holder.ae_titles else ""
    lines = ["", "# DCMTK"]
    if one.holder.usage is not Usage.SERVER:
        lines += [f"echoscu {tls} {own}-aec PEER HOST PORT", f"storescu {tls} {own}-aec PEER HOST PORT FILE.dcm"]
    if one.holder.usage is not Usage.CLIENT:
        lines.append(f"storescp {tls} --profile-bcp195-nd --require-peer-cert {own}{TLS_PORT}")
    return lines


def _orthanc(folder: Path) -> list[str]:
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(folder / CHAIN),
        "DicomTlsPrivateKey": str(folder / KEY),
        "DicomTlsTrustedCertificates": str(folder / TRUST),
        "DicomTlsRemoteCertificateRequired": True,
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    return ["", '# Orthanc; each modality that it calls with TLS also needs "UseDicomTls": true', *text.splitlines()]


def _dcm4che(one: Issued, folder: Path) -> list[str]:
    title = shlex.quote(one.holder.ae_titles[0]) if one.holder.ae_titles else ""
    if one.holder.usage is Usage.SERVER:
        tool = f"storescp -b {title}:{TLS_PORT}"
    else:
        tool = f"storescu {f'-b {title} ' if title else ''}-c PEER@HOST:PORT"
    return [
        "",
        f"# dcm4che; the alias of the key is {one.holder.name.lower()}. Its tools take the passphrase from the command",
        "# line only, where other users of the machine can see it",
        f"{tool} --tls-protocol TLSv1.2 --tls-cipher {_suite(one)} "
        f"--key-store-type PKCS12 --key-store {_quoted(folder / KEY_STORE)} --key-store-pass PASSPHRASE "
        f"--trust-store-type PKCS12 --trust-store {_quoted(folder / TRUST_STORE)} --trust-store-pass PASSPHRASE",
    ]


def _peer(one: Issued) -> list[str]:
    proofs = [*(f"dns:{host}" for host in one.holder.hosts), f"sha256:{one.sha256}", f"spki:{one.spki}"]
    networks = [_network(address) for address in one.holder.addresses]
    where = "" if networks else "  # where it calls from; empty matches nobody"
    return [
        "",
        "# dicomgate; sha256 changes with every renewal, spki with every new key: keep the proofs that you want",
        "[[peer]]",
        f"name = {json.dumps(one.holder.name)}",
        f"ae_titles = {json.dumps(one.holder.ae_titles)}",
        f"networks = {json.dumps(networks)}{where}",
        'assurance = "device"',
        f"certificates = {json.dumps(proofs)}",
        "may = []  # what it may do, such as echo and store; empty allows nothing",
    ]


def _network(address: Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def _suite(one: Issued) -> str:
    kind = "RSA" if isinstance(one.certificate.public_key(), rsa.RSAPublicKey) else "ECDSA"
    return f"TLS_ECDHE_{kind}_WITH_AES_256_GCM_SHA384"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
