"""The plans that are rendered in these tests, and every way to render one, by the ending of its golden file."""

from collections.abc import Callable
from pathlib import Path

from dicomgate.config.load import load
from dicomgate.segment import aws, azure, kubernetes, matrix, nftables
from dicomgate.segment.flows import Plan, plan

PLANS = Path(__file__).parent / "plans"
NAMES = sorted(path.stem for path in PLANS.glob("*.toml"))
TARGETS: dict[str, Callable[[Plan], str]] = {
    ".nft": nftables.whole,
    ".kubernetes.json": kubernetes.render,
    ".aws.tf.json": aws.render,
    ".azure.tf.json": azure.render,
    ".matrix.md": lambda plan: matrix.markdown(plan, "dicomgate: what may pass"),
    ".matrix.html": lambda plan: matrix.html(plan, "dicomgate: what may pass"),
}


def plan_of(name: str) -> Plan:
    configuration = load(PLANS / f"{name}.toml", files=False)
    assert configuration.segmentation is not None
    return plan(configuration.settings.rules, configuration.segmentation)
