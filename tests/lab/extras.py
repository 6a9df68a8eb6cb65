"""Install the optional parts of dicomgate into this environment, where what they compile against is there.

In: the constraints file. Each extra that cannot be had is named with its reason; its tests are then skipped.
"""

import subprocess
import sys
from pathlib import Path

EXTRAS = ("kerberos", "saml", "assess", "channel", "keyring")


def main() -> None:
    constraints = Path(sys.argv[1])
    stamp = Path(sys.prefix) / ".extras"
    wanted = constraints.stat().st_mtime
    if stamp.exists() and stamp.stat().st_mtime >= wanted:
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    missing = [name for name in EXTRAS if subprocess.run([*pip, "-e", f".[{name}]"], check=False).returncode]
    for name in missing:
        print(f"lab: the extra {name} could not be installed; the lines above say why", file=sys.stderr)
    if not missing:
        stamp.touch()


if __name__ == "__main__":
    main()
