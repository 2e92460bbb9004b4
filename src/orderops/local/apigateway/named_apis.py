"""The account's domain names as they are served on this machine. Call only while holding the emulator's lock."""

from __future__ import annotations

import json
from dataclasses import replace

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.apigateway.names import ServedName
from orderops.local.apigateway.rest_account import URL_TAG
from orderops.local.apigateway.store import Json, domain_records, every_domain
from orderops.local.emulator.protocol import Response
from orderops.local.ports import free_port


def served_names() -> list[ServedName]:
    """Return the domain names, each with the API that its mapping of all paths leads to."""
    return [_served_name(region, record) for region, record in every_domain() if "_port" in record]


def domain_on_this_machine(region: str, answer: Response) -> Response:
    """Let a domain name that was just created answer on a port of this machine, and tell its URL by a tag."""
    document = json.loads(answer.body)
    record = domain_records(region)[document["domainName"]]
    record["_port"] = free_port()
    record["domain"]["tags"] |= {URL_TAG: f"https://{document['domainName']}:{record['_port']}"}
    return replace(answer, body=json.dumps({**document, "tags": record["domain"]["tags"]}).encode())


def _served_name(region: str, record: Json) -> ServedName:
    [configuration] = record["domain"]["domainNameConfigurations"]
    certificate = get_backend("acm")[DEFAULT_ACCOUNT_ID][region]._certificates[configuration["certificateArn"]]
    first = certificate.common_name
    api = next((mapping["apiId"] for mapping in record["mappings"].values()), "")
    names = (first, *(name for name in certificate.sans if name != first))
    return ServedName(record["domain"]["domainName"], record["_port"], names, api)
