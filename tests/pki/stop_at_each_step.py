"""Stop a change of an authority at every call of the operating system that changes the disk, and look what is left.

    stop_at_each_step.py FOLDER CHANGE kill|fail

In: an empty folder, the name of a change. Out: one JSON object, the number of steps and all that was found wrong.
`kill` ends the process at the step, half way through a write; `fail` lets the step fail once, as on a full disk.
A program of its own because it forks, which a process with threads such as a test runner should not do.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from dicomgate.pki import commands
from dicomgate.pki.authority import load
from dicomgate.pki.keys import load_private
from dicomgate.pki.problem import PkiError
from pki.scene import NOBODY, NOW, Site, secret, site

STEPS = ("open", "mkdir", "fchmod", "write", "fsync", "replace", "symlink", "unlink", "rmdir")
KILLED, REFUSED, DONE = 77, 78, 0
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

CHANGES: dict[str, Callable[[Site, Path], object]] = {
    "init": lambda it, _: site(it.folder),
    "issue": lambda it, _: it.issue("ct-2", "CT2", "ct2.north.example"),
    "issue-p12": lambda it, pw: it.issue("ct-2", "CT2", "ct2.north.example", p12=pw),
    "renew": lambda it, _: it.renew(),
    "renew-same-key": lambda it, _: it.renew(same_key=True),
    "revoke": lambda it, _: it.revoke("ct-1"),
    "crl": lambda it, _: commands.refresh_lists(it.folder, now=NOW, ask=NOBODY),
}


def main(folder: Path, change: str, how: str) -> None:
    before = folder / "before"
    passphrase = secret(folder / "pw", "correct horse battery")
    if change != "init":
        site(before).issue()
    wrong: list[str] = []
    step = 0
    while True:
        step += 1
        it = Site(folder / f"{change}-{step}")
        if before.exists():
            shutil.copytree(before, it.folder, symlinks=True)
        outcome = stopped(lambda it=it: CHANGES[change](it, passphrase), step, how)  # type: ignore[misc]
        if outcome == DONE:
            break
        if outcome not in (KILLED, REFUSED):
            wrong.append(f"step {step}: ended with {outcome}")
        try:
            wrong.extend(f"step {step}: {text}" for text in look(it, change, how))
        except PkiError as error:
            wrong.append(f"step {step}: {error}")
    print(json.dumps({"steps": step - 1, "wrong": wrong}))


def stopped(change: Callable[[], object], step: int, how: str) -> int:
    """Carry out the change in a child that is stopped at a step; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        interpose(step, how)
        change()
        status = DONE
    except PkiError:
        status = REFUSED
    finally:
        os._exit(status)


def interpose(step: int, how: str) -> None:
    """From now on the step of this number does not happen."""
    count = 0

    def guarded(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            nonlocal count
            if name == "open" and not int(args[1]) & os.O_CREAT:  # type: ignore[call-overload]
                return real(*args, **kwargs)
            count += 1
            if count == step and how == "kill":
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])  # type: ignore[call-overload,arg-type]
                os._exit(KILLED)
            if count == step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, guarded(name))


def look(it: Site, change: str, how: str) -> list[str]:
    """What is wrong with what was left: before anybody repairs it, and after the next run did."""
    if change == "init":
        keys = [path.name for path in it.folder.parent.glob(f".{it.folder.name}*/*key*")]
        if how == "fail" and keys:
            return [f"a failed init left {keys}"]
        if not it.folder.exists():
            site(it.folder)
        return [*problems(it), *(f"left {path}" for path in it.folder.parent.glob(f".{it.folder.name}*"))]
    load(it.folder)  # whoever only reads is not disturbed
    strangers = {serial for serial in on_disk(it) if not (it.folder / "issued" / serial).is_dir()}
    wrong = [f"signed and in no folder of its own: {serial}" for serial in strangers]
    it.issue("next", "NEXT", "next.north.example")
    wrong.extend(problems(it))
    authority = load(it.folder)
    names = [one.holder.name for one in authority.issued if one.holder.name != "next"]
    old, new = ["ct-1"], {"issue": ["ct-1", "ct-2"], "renew": ["ct-1", "ct-1"]}.get(change.partition("-")[0], ["ct-1"])
    if names not in (old, new):
        wrong.append(f"neither the old nor the new state: {names}")
    if names == new and change.startswith("renew") and authority.current("ct-1").serial not in newest(it):
        wrong.append("the link names the old certificate")
    if len(authority.revoked) not in ((0, 1) if change == "revoke" else (0,)):
        wrong.append(f"{len(authority.revoked)} revocations")
    return wrong


def problems(it: Site) -> list[str]:
    """After a complete run nothing is half: every certificate is known, has its files, its key and its link."""
    authority = load(it.folder)
    wrong = [f"left {path.name}" for path in (it.folder / "issued").rglob("*") if path.name in ("pending",)]
    wrong += [f"left {path.name}" for path in (it.folder / "issued").rglob("*.new")]
    wrong += [f"left {path.name}" for path in (it.folder / "devices").glob("*.new")]
    wrong += [f"signed and unknown: {serial}" for serial in on_disk(it) - {one.serial for one in authority.issued}]
    for one in authority.issued:
        key = load_private((one.folder / "key.pem").read_bytes(), None, "key.pem")
        if key.public_key() != one.certificate.public_key():
            wrong.append(f"{one.holder.name}: key and certificate differ")
        if x509.load_pem_x509_certificates((one.folder / "chain.pem").read_bytes()) != [
            one.certificate,
            authority.issuing,
        ]:
            wrong.append(f"{one.holder.name}: chain differs")
        if authority.current(one.holder.name).holder != one.holder:
            wrong.append(f"{one.holder.name}: link differs")
    linked = {path.name for path in (it.folder / "devices").iterdir()}
    if linked != {one.holder.name for one in authority.issued}:
        wrong.append(f"links: {sorted(linked)}")
    return wrong


def on_disk(it: Site) -> set[str]:
    """The serial numbers of every device's certificate that stands whole in any file."""
    found = set()
    for path in it.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name.removesuffix(".new").endswith(".pem"):
            for pem in CERTIFICATE.findall(path.read_bytes()):
                certificate = x509.load_pem_x509_certificate(pem)
                if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    found.add(f"{certificate.serial_number:040x}")
    return found


def newest(it: Site) -> set[str]:
    """Serial numbers that the authority of `before` did not have."""
    old = {path.name for path in (it.folder.parent / "before" / "issued").iterdir()}
    return {path.name for path in (it.folder / "issued").iterdir()} - old


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
