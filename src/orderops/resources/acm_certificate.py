"""Certificate of ACM for the names of an environment, with the records that prove whose names they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.features import Feature
from orderops.engine.inventory import tag_index
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.frozen import replace
from orderops.resources.route53_zones import absolute, change_records, record_of, zone_id, zones_above

FEATURE = Feature("acm", ":acm:")
# Without them, ListCertificates leaves out every certificate with another key than RSA of 1024 or 2048 bits.
KEY_TYPES = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
KEY_ALGORITHM = "RSA_2048"
# Longer than the tag index lags; the tags of older certificates are read from the index alone.
NEW = timedelta(hours=1)
# One token for a time: a lost answer is found again, and a certificate deleted before is not.
TOKEN_SECONDS = 300
RECORD_TTL = 300
PENDING = "PENDING_VALIDATION"


class AcmCertificate(Resource):
    """For the name `names[0]` and the others. ACM issues it when a CNAME of each name is in the DNS, and renews it.

    The CNAMEs are made in the hosted zone `zone`, and stay: each renewal looks for them. Without a zone they are made
    by hand. Named after its names, so that another set of names is another certificate: ACM cannot change them.
    """

    names: tuple[str, ...]
    zone: str = ""

    kind: ClassVar[str] = "acm-certificate"
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "ResourceNotFoundException",
            # InUseBy lags behind the listener by minutes.
            "ResourceInUseException",
            "RequestInProgressException",
            "ConflictException",
            "PriorRequestNotComplete",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"KeyAlgorithm", "Names"})
    removable: ClassVar[frozenset[State]] = frozenset({State.READY, State.FAILED, State.PENDING})
    timeout: ClassVar[timedelta] = timedelta(minutes=75)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=5)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for arn, tags in _tagged(aws, owner):
            raw = if_found(aws.acm.describe_certificate, "ResourceNotFoundException", CertificateArn=arn)
            if raw and tags.get(ENVIRONMENT) == owner.environment:
                yield _observed(raw["Certificate"], tags)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        """Which names have their record; without a zone, those that the operator has to make are in the status."""
        records = observed.properties["Records"]
        zone = zone_id(aws, self.zone) if self.zone and records else None
        proofs = _proofs(aws, zone, records) if zone else {}
        pending = observed.status == PENDING
        status = observed.status
        if pending and not self.zone:
            status = f"{PENDING}: create at your DNS provider: {_by_hand(records)}"
        # While a record is missing, there is something to do other than to wait.
        waits = pending and (not self.zone or len(proofs) == len(self.names) or not records)
        state = State.PENDING if waits else observed.state
        proven = {"ProvenNames": sorted(proofs), "Proofs": proofs, "Zone": zone}
        return replace(observed, state=state, status=status, properties={**observed.properties, **proven})

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.acm.add_tags_to_certificate(CertificateArn=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "Names": sorted(self.names),
            "KeyAlgorithm": KEY_ALGORITHM,
            "ProvenNames": sorted(self.names) if self.zone else [],
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.acm.request_certificate(
            DomainName=self.names[0],
            SubjectAlternativeNames=list(self.names),
            ValidationMethod="DNS",
            KeyAlgorithm=desired["KeyAlgorithm"],
            IdempotencyToken=_token(owner),
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        missing = set(changed["ProvenNames"]) - set(observed.properties["ProvenNames"])
        records = {str(record): record for name, record in observed.properties["Records"].items() if name in missing}
        # Names may share a record, and a batch must not hold one twice.
        change_records(aws, zone_id(aws, self.zone), *(("UPSERT", record) for record in records.values()))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        # Records first: nothing would lead to them any more after the certificate is gone.
        shared = _needed_by_others(aws, observed)
        for record in observed.properties["Records"].values():
            if record["Name"] not in shared:
                _remove(aws, record)
        aws.acm.delete_certificate(CertificateArn=observed.arn)


def certificate_name(names: tuple[str, ...]) -> str:
    """The name of the resource: the first name, and a mark of the further ones."""
    if len(names) == 1:
        return names[0]
    return f"{names[0]}+{hashlib.sha256(' '.join(sorted(names)).encode()).hexdigest()[:8]}"


def _tagged(aws: Aws, owner: Ownership) -> Iterator[tuple[str, Tags]]:
    """The ARN and tags of each certificate that may belong to the owner."""
    summaries = every(aws.acm.list_certificates, "CertificateSummaryList", Includes={"keyTypes": KEY_TYPES})
    domain = owner.name.partition("+")[0]
    if owner.address:
        arns = [raw["CertificateArn"] for raw in summaries if domain in ("", raw["DomainName"])]
        for arn in arns:
            yield arn, _tags(aws, arn)
        return
    index = tag_index(aws, owner)
    for raw in summaries:
        arn = raw["CertificateArn"]
        if arn in index:
            yield arn, index[arn]
        elif datetime.now(UTC) - raw.get("CreatedAt", datetime.now(UTC)) < NEW:
            yield arn, _tags(aws, arn)


def _tags(aws: Aws, arn: str) -> Tags:
    found = if_found(aws.acm.list_tags_for_certificate, "ResourceNotFoundException", CertificateArn=arn)
    return from_pairs(found["Tags"]) if found else {}


def _observed(raw: Mapping[str, Any], tags: Tags) -> Observed:
    options = raw.get("DomainValidationOptions", ())
    records = {option["DomainName"]: _record(option) for option in options if "ResourceRecord" in option}
    status = raw["Status"]
    states = {"ISSUED": State.READY, PENDING: State.READY if records else State.PENDING}
    return Observed(
        raw["CertificateArn"],
        {
            "Names": sorted(raw.get("SubjectAlternativeNames", [raw["DomainName"]])),
            # Spelled RSA_2048 in a request, and RSA-2048 in a description.
            "KeyAlgorithm": raw.get("KeyAlgorithm", KEY_ALGORITHM).replace("-", "_"),
            "ProvenNames": [],
            "Records": records,
            "Status": status,
            "NotAfter": raw.get("NotAfter"),
        },
        tags=tags,
        arn=raw["CertificateArn"],
        state=states.get(status, State.FAILED),
        status=": ".join(filter(None, (status, raw.get("FailureReason")))),
    )


def _record(option: Mapping[str, Any]) -> dict[str, Any]:
    raw = option["ResourceRecord"]
    return {
        "Name": absolute(raw["Name"]),
        "Type": raw["Type"],
        "TTL": RECORD_TTL,
        "ResourceRecords": [{"Value": absolute(raw["Value"])}],
    }


def _proofs(aws: Aws, zone: str, records: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The record in the zone that proves each name, as far as it is there."""
    found = {name: record_of(aws, zone, record["Name"], record["Type"]) for name, record in records.items()}
    return {name: proof for name, proof in found.items() if proof and _values(proof) == _values(records[name])}


def _values(record: Mapping[str, Any]) -> list[str]:
    return [absolute(value["Value"]) for value in record.get("ResourceRecords", ())]


def _by_hand(records: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"{record['Name']} CNAME {_values(record)[0]}" for record in records.values())


def _remove(aws: Aws, record: Mapping[str, Any]) -> None:
    """Delete the record that proves a name, if it still has the value of ours."""
    for zone in zones_above(aws, record["Name"]):
        found = record_of(aws, zone, record["Name"], record["Type"])
        if found and _values(found) == _values(record):
            change_records(aws, zone, ("DELETE", found))


def _needed_by_others(aws: Aws, observed: Observed) -> set[str]:
    """The names of records that another certificate of the account needs, too: ACM asks for one record a name."""
    summaries = every(aws.acm.list_certificates, "CertificateSummaryList", Includes={"keyTypes": KEY_TYPES})
    names = set(observed.properties["Names"])
    needed = set()
    for raw in summaries:
        shares = names & {raw["DomainName"], *raw.get("SubjectAlternativeNameSummaries", ())}
        if raw["CertificateArn"] != observed.arn and (shares or raw.get("HasAdditionalSubjectAlternativeNames")):
            other = if_found(
                aws.acm.describe_certificate, "ResourceNotFoundException", CertificateArn=raw["CertificateArn"]
            )
            records = _observed(other["Certificate"], {}).properties["Records"] if other else {}
            needed |= {record["Name"] for record in records.values()}
    return needed


def _token(owner: Ownership) -> str:
    """At most 32 letters and digits."""
    window = int(datetime.now(UTC).timestamp()) // TOKEN_SECONDS
    return hashlib.sha256(f"{owner.environment} {owner.address} {window}".encode()).hexdigest()[:32]
