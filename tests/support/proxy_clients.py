"""Clients of boto3 that ask the account of a test, beside the program."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.faulty_proxy import Proxy


def client(proxy: Proxy, service: str) -> Any:
    """Return a client for a service of AWS; the same one for an account that asks again."""
    return _client_at(proxy.url, service)


@cache
def _client_at(url: str, service: str) -> Any:
    import boto3

    return boto3.Session("testing", "testing", region_name="ap-southeast-2").client(service, endpoint_url=url)


def add_zone(proxy: Proxy) -> None:
    """Make the hosted zone example.com."""
    client(proxy, "route53").create_hosted_zone(Name="example.com", CallerReference="ours")
