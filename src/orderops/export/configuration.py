"""The configuration of an environment: files, and what each address becomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from orderops.engine.resource import Outputs, Resource
from orderops.export.hcl import Expression, block, blocks, comment
from orderops.export.kinds import KINDS, KNOWN_BY_ANOTHER, LEFT_OUT, NO_EQUIVALENT
from orderops.export.part import Found, Part, References, label
from orderops.frozen import Frozen
from orderops.text.lists import counted

VERSIONS, README = "versions.tf", "README.md"
PROVIDER = "~> 5.100"
"""The versions of the AWS provider whose arguments are written."""


class Exported(Frozen):
    """What one part of a resource becomes."""

    address: str
    target: str
    """The resource in the configuration, such as `aws_vpc.orderops-dev-vpc`."""
    import_id: str
    file: str
    text: str

    def to_json(self) -> dict[str, str]:
        """As JSON, with stable keys."""
        return {"address": self.address, "target": self.target, "import_id": self.import_id, "file": self.file}


class Configuration(Frozen):
    """The parts that are written, and what is not: addresses with the reason, and those that do not exist."""

    environment: str
    region: str
    account: str
    parts: list[Exported]
    left_out: Mapping[str, str]
    missing: list[str]
    notes: Mapping[str, str]
    """What is not written of a kind that is, or will still differ, with the reason."""

    @property
    def types(self) -> Counter[str]:
        """How many there are of each type of the provider."""
        return Counter(part.target.partition(".")[0] for part in self.parts)

    def files(self) -> dict[str, str]:
        """The text of each file, by its name."""
        texts = {VERSIONS: _versions(self.region, self.account)}
        for part in self.parts:
            texts.setdefault(part.file, "")
            texts[part.file] += ("\n" if texts[part.file] else "") + part.text
        return {**texts, README: self._readme()}

    def _readme(self) -> str:
        lines = [f"# {self.environment}, for OpenTofu or Terraform", ""]
        lines += [f"{counted(len(self.parts), 'import')} for account {self.account} in {self.region}. In this folder:"]
        lines += ["", "    tofu init", "    tofu plan", ""]
        lines += [
            "Expect imports, nothing to add or destroy, and no change but those named below. Apply only such a plan:",
            "",
            "    tofu apply",
            "",
        ]
        lines += _listed("Not written", self.left_out)
        lines += _listed("Not created yet", dict.fromkeys(self.missing, "declared, and not in the account"))
        lines += _listed("Not complete, or still different", self.notes)
        return "\n".join(lines)


def configuration_of(
    environment: str, declared: Collection[Resource], outputs: Outputs, where: tuple[str, str]
) -> Configuration:
    """The configuration of what exists of the declared resources; `where` is region and account."""
    region, account = where
    standing = [resource for resource in declared if resource in outputs]
    written = [resource for resource in standing if resource.kind in KINDS]
    targets = _targets(written, outputs, where)
    references = _references(written, outputs, targets)
    parts = [
        _exported(resource, part, targets[_key(resource, part)])
        for resource in written
        for part in _parts(resource, outputs, where, references)
    ]
    return Configuration(
        environment,
        region,
        account,
        parts,
        {one.address: NO_EQUIVALENT[one.kind] for one in standing if one.kind in NO_EQUIVALENT},
        [one.address for one in declared if one not in outputs],
        {kind: LEFT_OUT[kind] for kind in sorted({one.kind for one in written}) if kind in LEFT_OUT},
    )


def _references(written: list[Resource], outputs: Outputs, targets: Mapping[tuple[str, str, str], str]) -> References:
    references = References(by_part=dict(targets))
    for resource in written:
        target, observed = targets[resource.address, "", ""], outputs[resource]
        references.by_address[resource.address] = target
        if resource.kind in KNOWN_BY_ANOTHER:
            continue
        # A name may be that of several resources.
        if observed.id != observed.name:
            references.by_value[observed.id] = f"{target}.id"
        if observed.arn:
            references.by_value[observed.arn] = f"{target}.arn"
    return references


def _parts(resource: Resource, outputs: Outputs, where: tuple[str, str], references: References) -> Iterator[Part]:
    yield from KINDS[resource.kind](Found(resource, outputs[resource], *where, references))


def _targets(written: list[Resource], outputs: Outputs, where: tuple[str, str]) -> dict[tuple[str, str, str], str]:
    """The target of each part, by address and key; no two are the same, whatever the names are."""
    taken: set[str] = set()
    targets = {}
    for resource in written:
        for number, part in enumerate(_parts(resource, outputs, where, References())):
            words = [resource.name, part.suffix] if part.suffix else [resource.name]
            base = target = f"{part.type}.{label('_'.join(words))}"
            again = 1
            while target in taken:
                again += 1
                target = f"{base}_{again}"
            taken.add(target)
            if number == 0:
                targets[resource.address, "", ""] = target
            targets[_key(resource, part)] = target
    return targets


def _key(resource: Resource, part: Part) -> tuple[str, str, str]:
    return resource.address, part.type, part.suffix


def _exported(resource: Resource, part: Part, target: str) -> Exported:
    kind, _, name = target.partition(".")
    imported = block(["import"], {"to": Expression(target), "id": part.import_id})
    text = comment(resource.address) + imported + "\n" + block(["resource", kind, name], part.body)
    area = KINDS[resource.kind].__module__.rpartition(".")[2]
    return Exported(resource.address, target, part.import_id, f"{area}.tf", text)


def _versions(region: str, account: str) -> str:
    source = {"source": "hashicorp/aws", "version": PROVIDER}
    # Import blocks came with Terraform 1.5; OpenTofu has had them from its first version on.
    terraform = block(["terraform"], {"required_version": ">= 1.5", "required_providers": blocks({"aws": source})})
    # With another account's credentials, nothing is imported and nothing is made.
    provider = block(["provider", "aws"], {"region": region, "allowed_account_ids": [account]})
    return f"{terraform}\n{provider}"


def _listed(title: str, entries: Mapping[str, str]) -> list[str]:
    if not entries:
        return []
    return [f"## {title}", "", *(f"- `{key}`: {reason}" for key, reason in entries.items()), ""]
