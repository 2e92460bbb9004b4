"""Requests as they arrive over HTTP."""

from __future__ import annotations

import json
import socket

import boto3

from support.account_snapshot import take_snapshot
from support.faulty_proxy import served


def test_an_incomplete_request_has_no_effect() -> None:
    body = json.dumps({"clusterName": "orderops-dev-cluster"})
    head = "\r\n".join(
        [
            "POST / HTTP/1.1",
            "Host: ecs",
            "Authorization: AWS4-HMAC-SHA256 Credential=id/20261110/ap-southeast-2/ecs/aws4_request",
            "Content-Type: application/x-amz-json-1.1",
            "X-Amz-Target: AmazonEC2ContainerServiceV20141113.CreateCluster",
            f"Content-Length: {len(body)}",
            "\r\n",
        ]
    )
    with served() as proxy:
        host, port = proxy.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head.encode() + body[:5].encode())
        proxy.settle()

        session = boto3.Session(region_name="ap-southeast-2")
        account = take_snapshot(lambda service: session.client(service, endpoint_url=proxy.url))

    assert "cluster" not in account
