"""The declared name of an API, and what it needs."""

from __future__ import annotations

from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName
from orderops.resources.apigatewayv2_mapping import Apigatewayv2Mapping
from support.declared_api import API, STAGE

NAME = "orders.example.com"
CERTIFICATE = AcmCertificate(NAME, (NAME,), "example.com")
DOMAIN = Apigatewayv2DomainName(NAME, CERTIFICATE)
MAPPING = Apigatewayv2Mapping(NAME, DOMAIN, API, STAGE)
