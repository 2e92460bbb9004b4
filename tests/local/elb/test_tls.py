"""HTTPS on the balancer of the laptop, with real TLS clients."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from orderops.local.elb.authority import Authority
from orderops.local.elb.tls import ListenerTls
from orderops.local.ports import free_port
from support.laptop import Laptop, Stack, until

HSTS = "routing.http.response.strict_transport_security.header_value"
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def names_shown(port: int, authority: Path, name: str) -> set[str]:
    """The names on the certificate that a server shows to a client which asks for this name, and checks it."""
    context = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        return _names_on(connection.getpeercert())


def get(port: int, path: str, context: ssl.SSLContext) -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection("orders.localhost", port, context=context, timeout=10)
    # The system's resolver is no part of this test.
    connection.sock = context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="orders.localhost"
    )
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response


@pytest.fixture(scope="module")
def secured(laptop: Laptop) -> Any:
    """A balancer that redirects HTTP to HTTPS: ports, the listener's ARN, and the file of the authority."""
    stack = Stack(laptop, desired=1)
    acm, route53, elb = (laptop.client(service) for service in ("acm", "route53", "elbv2"))
    arn = acm.request_certificate(DomainName="orders.localhost", ValidationMethod="DNS")["CertificateArn"]

    def options() -> Any:
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"][0]

    record = until(lambda: options().get("ResourceRecord"), what="ACM shows the record to make")
    (zone,) = route53.list_hosted_zones_by_name(DNSName="localhost")["HostedZones"]
    change = {"Name": record["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": record["Value"]}]}
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": change}]}
    route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch=batch)
    until(
        lambda: acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED", what="it is issued"
    )
    port = free_port((stack.port,))
    listener = elb.create_listener(
        LoadBalancerArn=stack.balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=port,
        SslPolicy=POLICY,
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "hello"}}
        ],
    )["Listeners"][0]["ListenerArn"]
    config = {"Protocol": "HTTPS", "Port": str(port), "StatusCode": "HTTP_301"}
    elb.modify_listener(ListenerArn=stack.listener, DefaultActions=[{"Type": "redirect", "RedirectConfig": config}])
    yield stack.port, port, listener, laptop.directory / "authority.pem"


def test_a_client_that_trusts_the_authority_of_the_laptop_is_served(secured: Any) -> None:
    _, port, _, authority = secured
    until(authority.exists, what="the authority is made")
    until(lambda: _listens(port), what="the balancer listens")

    assert names_shown(port, authority, "orders.localhost") == {"orders.localhost"}
    response = get(port, "/", ssl.create_default_context(cafile=str(authority)))
    assert (response.status, response.getheader("Strict-Transport-Security")) == (200, None)


def test_a_client_that_does_not_trust_it_or_asks_for_another_name_is_not(secured: Any) -> None:
    _, port, _, authority = secured
    until(lambda: _listens(port), what="the balancer listens")

    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate in certificate chain"):
        get(port, "/", ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'shop\.localhost'"):
        names_shown(port, authority, "shop.localhost")


def test_http_is_sent_on_to_https_with_its_path(secured: Any) -> None:
    plain, port, _, _ = secured
    until(lambda: _listens(plain), what="the balancer listens")

    def answer() -> tuple[int, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", plain, timeout=10)
        connection.request("GET", "/orders?limit=5", headers={"Host": "orders.localhost"})
        response = connection.getresponse()
        return response.status, response.getheader("Location")

    until(lambda: answer()[0] == 301, what="the redirect is known")
    assert answer() == (301, f"https://orders.localhost:{port}/orders?limit=5")


def test_the_attribute_for_hsts_adds_the_header(laptop: Laptop, secured: Any) -> None:
    _, port, listener, authority = secured
    attributes = [{"Key": HSTS, "Value": "max-age=3600"}]
    laptop.client("elbv2").modify_listener_attributes(ListenerArn=listener, Attributes=attributes)
    context = ssl.create_default_context(cafile=str(authority))

    until(
        lambda: get(port, "/", context).getheader("Strict-Transport-Security") == "max-age=3600",
        what="the header is added",
    )


def test_a_client_gets_the_certificate_for_the_name_that_it_asks_for(tmp_path: Path) -> None:
    certificates = [("orders.localhost",), ("*.shop.localhost", "shop.localhost")]
    tls = ListenerTls(Authority(tmp_path), lambda: certificates)

    def shown(name: str) -> set[str]:
        return _handshake(tls.context, tmp_path / "authority.pem", name)

    assert shown("orders.localhost") == {"orders.localhost"}
    assert shown("eu.shop.localhost") == {"*.shop.localhost", "shop.localhost"}
    # The listener's certificate is changed: new connections get the new one.
    certificates[:] = [("new.localhost",)]
    assert shown("new.localhost") == {"new.localhost"}


def _handshake(server: ssl.SSLContext, authority: Path, name: str) -> set[str]:
    """Connect a client and a server in memory, and return the names on the certificate that the client accepted."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(authority)).wrap_bio(to_client, to_server, server_hostname=name)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, answering, client, answering):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return _names_on(client.getpeercert())


def _names_on(certificate: Any) -> set[str]:
    return {value for _, value in certificate["subjectAltName"]}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
