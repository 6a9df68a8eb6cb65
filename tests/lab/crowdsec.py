"""CrowdSec reads a log once. In: lines of JSON, a parser and scenarios as files; out: which scenario blamed whom.

Debian's package is unpacked, not installed (tests/lab/install.sh): all it needs stands in a folder of the test.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from lab.process import LabError, free_address

ROOT = Path("/opt/dicomgate-lab/crowdsec")
PROGRAM, CONSOLE = ROOT / "usr/bin/crowdsec", ROOT / "usr/bin/cscli"
_HUB = ROOT / "usr/share/crowdsec/hub"
_DATES = _HUB / "parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml"
"""Every installation has it; without it an event has no time."""
_LINES = """
filter: "evt.Line.Labels.type != 'syslog'"
onsuccess: next_stage
name: lab/lines
statics:
  - parsed: message
    expression: evt.Line.Raw
  - parsed: program
    expression: evt.Line.Labels.type
"""
"""As the hub's own parser of logs that are not of syslog."""
_BLAMED = re.compile(r"Ip (\S+) performed '(\S+)'")


def blamed(folder: Path, log: Path, kind: str, files: dict[str, str]) -> set[tuple[str, str]]:
    """(scenario, address) of every bucket that overflowed. `files` go below the configuration, by relative path."""
    address = free_address()
    settings = _settings(folder, files, str(address))
    machine = ("machines", "add", "lab", "--password", "of-the-lab", "--force", "-f", folder / "credentials.yaml")
    _run(CONSOLE, "-c", settings, *machine, "-u", f"http://{address}")
    said = _run(PROGRAM, "-c", settings, "-dsn", f"file://{log}", "-type", kind)
    return {(scenario, address) for address, scenario in _BLAMED.findall(said)}


def _settings(folder: Path, files: dict[str, str], listening: str) -> Path:
    for name in ("data", "hub", "notifications", "plugins"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(ROOT / "etc/crowdsec/patterns", folder / "patterns")
    for name in ("profiles.yaml", "simulation.yaml"):
        shutil.copy(ROOT / "etc/crowdsec" / name, folder)
    shutil.copy(_HUB / ".index.json", folder / "hub")
    files = {"acquis.yaml": "{}", "parsers/s00-raw/lines.yaml": _LINES, **files}
    files["parsers/s02-enrich/dates.yaml"] = _DATES.read_text(encoding="utf-8")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    settings = {
        "common": {"daemonize": False, "log_media": "stdout", "log_level": "info", "working_dir": "."},
        "config_paths": {
            "config_dir": str(folder),
            "data_dir": str(folder / "data"),
            "simulation_path": str(folder / "simulation.yaml"),
            "hub_dir": str(folder / "hub"),
            "index_path": str(folder / "hub/.index.json"),
            "notification_dir": str(folder / "notifications"),
            "plugin_dir": str(folder / "plugins"),
        },
        "crowdsec_service": {"acquisition_path": str(folder / "acquis.yaml"), "parser_routines": 1},
        "cscli": {"output": "human"},
        "db_config": {"type": "sqlite", "db_path": str(folder / "data/crowdsec.db")},
        "api": {
            "client": {"credentials_path": str(folder / "credentials.yaml")},
            "server": {"enable": True, "listen_uri": listening, "profiles_path": str(folder / "profiles.yaml")},
        },
        "prometheus": {"enabled": False},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    (folder / "credentials.yaml").write_text(json.dumps({"url": f"http://{listening}", "login": "", "password": ""}))
    return path


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise LabError(f"{command[0]} ended with {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout + done.stderr
