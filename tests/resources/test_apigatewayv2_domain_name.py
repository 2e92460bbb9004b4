"""Domain names of API Gateway."""

from __future__ import annotations

import json

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.acm_certificate import AcmCertificate, certificate_name
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName
from support.contract import Up, keeps_its_promises
from support.declared_name import CERTIFICATE, DOMAIN, NAME
from support.fake_answers import AnsweredSession

NAMES = (NAME, "shop.example.com")
WIDER = AcmCertificate(certificate_name(NAMES), NAMES, "example.com")


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    strict_aws.route53.create_hosted_zone(Name="example.com", CallerReference="ours")
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    up(WIDER)

    keeps_its_promises(DOMAIN, aws, up, certificate=WIDER)


def test_it_is_regional_and_takes_tls_of_version_1_2(aws: Aws, up: Up) -> None:
    up(DOMAIN)

    [configuration] = aws.apigatewayv2.get_domain_name(DomainName=NAME)["DomainNameConfigurations"]
    certificate = aws.acm.list_certificates()["CertificateSummaryList"][0]["CertificateArn"]
    assert configuration["EndpointType"] == "REGIONAL"
    assert configuration["SecurityPolicy"] == "TLS_1_2"
    assert configuration["CertificateArn"] == certificate


def test_a_run_ends_when_the_name_has_its_new_certificate(aws: Aws, up: Up) -> None:
    up(DOMAIN)
    other = replace(DOMAIN, certificate=WIDER)

    assert set(up(other)[DOMAIN.address].changes) == {"CertificateArn"}

    [configuration] = aws.apigatewayv2.get_domain_name(DomainName=NAME)["DomainNameConfigurations"]
    assert configuration["DomainNameStatus"] == "AVAILABLE"
    assert up(other)[DOMAIN.address].action is Action.NO_OP


@pytest.mark.parametrize(
    ("tags", "why"),
    [({}, "exists and has no owner"), ({"orderops:environment": "staging"}, "belongs to staging")],
    ids=["nobody", "another environment"],
)
def test_a_name_that_is_taken_is_refused(aws: Aws, up: Up, tags: dict[str, str], why: str) -> None:
    arn = _certificate(aws, up)
    configuration = {"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    aws.apigatewayv2.create_domain_name(DomainName=NAME, DomainNameConfigurations=[configuration], Tags=tags)

    with pytest.raises(Unfinished, match=why):
        up(DOMAIN)

    assert aws.apigatewayv2.get_domain_name(DomainName=NAME)["Tags"] == tags


@pytest.mark.parametrize("status", ["PENDING_CERTIFICATE_REIMPORT", "PENDING_OWNERSHIP_VERIFICATION"])
def test_a_name_that_needs_something_by_hand_is_not_waited_for(status: str) -> None:
    configuration = {"domainNameStatus": status, "domainNameStatusMessage": "by hand"}
    tags = {"orderops:environment": "dev"}
    raw = {"domainName": NAME, "domainNameConfigurations": [configuration], "tags": tags}
    session = AnsweredSession((200, json.dumps({"items": [raw]})))

    [found] = Apigatewayv2DomainName.listing(session.aws, Ownership("dev"))

    assert (found.state, found.status) == (State.FAILED, f"{status}: by hand")
    assert found.properties["Url"] == f"https://{NAME}"


def _certificate(aws: Aws, up: Up) -> str:
    up(CERTIFICATE)
    return str(aws.acm.list_certificates()["CertificateSummaryList"][0]["CertificateArn"])
