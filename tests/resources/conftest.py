"""What makes many small tests of resources quick."""

from __future__ import annotations

import boto3
import pytest
from botocore.loaders import create_loader

MODELS = create_loader()


@pytest.fixture
def session(session: boto3.Session) -> boto3.Session:
    """The session of all tests, with AWS's models read once: they take longer than most tests."""
    session._session.register_component("data_loader", MODELS)
    return session
