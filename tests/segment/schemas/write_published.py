"""What Kubernetes and the Terraform providers publish of the resources that are rendered, cut down to published.json.

In: wheels with the official schemas, whole they are hundreds of megabytes, so no test installs them:

    pip download --no-deps kubernetes-validate==1.37.0
    pip download --no-deps cdktf-cdktf-provider-aws==19.65.1       # hashicorp/aws 5.99.1
    pip download --no-deps cdktf-cdktf-provider-aws==21.22.1       # hashicorp/aws 6.25.0
    pip download --no-deps cdktf-cdktf-provider-azurerm==12.27.0   # hashicorp/azurerm 3.116.0
    pip download --no-deps cdktf-cdktf-provider-azurerm==14.23.1   # hashicorp/azurerm 4.55.0
    python tests/segment/schemas/write_published.py *.whl

Out: names, types and what is required, no texts. Kubernetes: a JSON schema for each version. Terraform: for each
provider and version its resources; an attribute of the type `objects` is a set of blocks, which Terraform's JSON
takes only when every attribute of every block is written.
"""

import ast
import io
import json
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

POLICY = "networkpolicy-networking-v1.json"
KUBERNETES = ("v1.25.0", "v1.37.0")
"""The oldest that has what is rendered (`endPort`), and the newest."""
RESOURCES = {
    "aws": ("security_group", "vpc_security_group_ingress_rule", "vpc_security_group_egress_rule"),
    "azurerm": ("network_security_group", "network_security_rule"),
}
META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioners", "timeouts"}
"""Terraform's own, of every resource."""
TYPES = {
    "builtins.str": "string",
    "jsii.Number": "number",
    "builtins.bool": "bool",
    "typing.Sequence[builtins.str]": "strings",
    "typing.Mapping[builtins.str, builtins.str]": "map of strings",
}


def kubernetes(wheel: ZipFile, version: str) -> object:
    """The policy's schema with what it refers to."""
    folder = f"kubernetes_validate/kubernetes-json-schema/{version}-local-strict/"
    known = json.loads(wheel.read(folder + "_definitions.json"))
    known = known.get("$defs", known.get("definitions"))
    used: dict[str, object] = {}

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(each) for each in value]
        if not isinstance(value, dict):
            return value
        if isinstance(reference := value.get("$ref"), str):
            name = reference.rpartition("/")[2]
            if name not in used:
                used[name] = None
                used[name] = plain(known[name])
            return {"$ref": f"#/$defs/{name}"}
        # A property may be called "description", too; that one is a schema.
        texts = {key for key, each in value.items() if key == "description" and isinstance(each, str)}
        return {key: plain(each) for key, each in value.items() if key not in texts | {"$id", "$schema"}}

    policy = plain(json.loads(wheel.read(folder + POLICY)))
    assert isinstance(policy, dict)
    return {**policy, "$defs": dict(sorted(used.items()))}


def terraform(wheel: ZipFile, package: str, provider: str) -> tuple[str, object]:
    """`hashicorp/NAME VERSION`, and its resources."""
    bundle = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))) as inner:
        manifest = inner.extractfile("package/package.json")
        assert manifest is not None
        version = json.load(manifest)["cdktf"]["provider"]["version"]
    resources = {}
    for name in RESOURCES[provider]:
        tree = ast.parse(wheel.read(f"{package}/{name}/__init__.py"))
        made = "".join(word.capitalize() for word in name.split("_")) + "Config"
        config = next(each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == made)
        start = next(each for each in config.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
        arguments = [
            (argument, default)
            for argument, default in zip(start.args.kwonlyargs, start.args.kw_defaults, strict=True)
            if argument.arg not in META
        ]
        resources[f"{provider}_{name}"] = {
            "required": sorted(argument.arg for argument, default in arguments if default is None),
            "attributes": {argument.arg: _type(argument.annotation) for argument, _ in sorted(arguments, key=_name)},
        }
    return f"hashicorp/{provider} {version}", resources


def _name(pair: tuple[ast.arg, ast.expr | None]) -> str:
    return pair[0].arg


def _type(annotation: ast.expr | None) -> str:
    assert annotation is not None
    text = ast.unparse(annotation)
    text = text.removeprefix("typing.Optional[").removesuffix("]") if text.startswith("typing.Optional[") else text
    if text.startswith("typing.Union[builtins.bool"):
        return "bool"
    return TYPES.get(text, "objects")


def main(wheels: list[str]) -> None:
    found: dict[str, dict[str, object]] = {"from": {}, "kubernetes": {}, "terraform": {}}
    for path in map(Path, sorted(wheels)):
        package, release, *_ = path.name.split("-")
        with ZipFile(path) as wheel:
            if package == "kubernetes_validate":
                made = {version: kubernetes(wheel, version) for version in KUBERNETES}
                found["kubernetes"] |= made
            else:
                key, resources = terraform(wheel, package, package.rpartition("_")[2])
                made = {key: resources}
                found["terraform"] |= made
        found["from"] |= {key: f"{package.replace('_', '-')} {release}" for key in made}
    target = Path(__file__).with_name("published.json")
    target.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
