"""A Prometheus that scrapes one gate. In: what to scrape and the rules; out: answers to queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lab.process import Address, Process, free_address, running

PROGRAM = Path("/usr/bin/prometheus")
PROMTOOL = Path("/usr/bin/promtool")


@dataclass(frozen=True, slots=True)
class Prometheus:
    process: Process
    address: Address

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Labels and value of each series."""
        return list(self._get("/api/v1/query", query=expression)["data"]["result"])

    def value(self, expression: str) -> float | None:
        """The value of the only series; None as long as there is none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        """The rules it has loaded."""
        return [rule for group in self._get("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"http://{self.address}{path}", params=parameters, trust_env=False, timeout=10)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def prometheus(directory: Path, target: Address, rules: Path) -> Iterator[Prometheus]:
    """Run it in `directory`, scraping each half second, until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    address = free_address()
    configuration = directory / "prometheus.yml"
    configuration.write_text(
        "global: {scrape_interval: 500ms, evaluation_interval: 500ms}\n"
        f"rule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: dicomgate, static_configs: [{{targets: ['{target}']}}]}}]\n",
        encoding="utf-8",
    )
    command: list[str | Path] = [
        PROGRAM,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with running("prometheus", command, directory, ready=lambda process: process.listens(address.port)) as process:
        yield Prometheus(process, address)
