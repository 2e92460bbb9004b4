"""What Azure DevOps keeps beside the file: environments, and the checks that a stage has to pass before it starts.

Source: the REST reference of Azure DevOps 7.1, "Environments" and "Check Configurations".
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from orderops.aws.validation import Malformed, json_object
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.pipelines.rules import PipelineFinding
from orderops.text.outside import plain

TIMEOUT = 15.0
LARGEST = 4 * 1024**2
APPROVAL, BRANCH_CONTROL = "Approval", "Branch control"


class AzureProject(Frozen):
    """A project of Azure DevOps, and a token that may read its environments."""

    organisation: str
    """URL, such as https://dev.azure.com/ours."""
    project: str
    token: str

    def findings(self, protected: Mapping[str, str]) -> Iterator[PipelineFinding]:
        """What the environments lack; `protected` holds, for each environment to be asked about, its branch or ""."""
        ids = {str(one.get("name")): one.get("id") for one in self._values("distributedtask/environments", {})}
        for name, branch in protected.items():
            if name not in ids:
                yield PipelineFinding(
                    f"environment {name}",
                    "does not exist: the first run that names it makes it, without any check",
                    f"make it in Pipelines > Environments, with an approval and the branch {branch or 'it follows'}",
                )
                continue
            yield from self._checks(name, str(ids[name]), branch)

    def _checks(self, name: str, identity: str, branch: str) -> Iterator[PipelineFinding]:
        query = {"resourceType": "environment", "resourceId": identity, "$expand": "settings"}
        checks = list(self._values("pipelines/checks/configurations", query))
        if not any(_type(check) == APPROVAL for check in checks):
            yield PipelineFinding(
                f"environment {name}", "nobody has to approve", "Approvals and checks > Approvals, with its approvers"
            )
        control = next((check for check in checks if _setting(check, "displayName") == BRANCH_CONTROL), None)
        allowed = str((_setting(control, "inputs") or {}).get("allowedBranches", "")) if control else ""
        if control is None or allowed.strip() in ("", "*", "refs/heads/*"):
            yield PipelineFinding(
                f"environment {name}",
                "every branch gets in, and with it every edit of the file",
                f"Approvals and checks > Branch control: refs/heads/{branch or 'BRANCH'}",
            )
        elif branch and f"refs/heads/{branch}" not in [one.strip() for one in allowed.split(",")]:
            yield PipelineFinding(
                f"environment {name}",
                f"its branch control lets in {plain(allowed)}, and the stage runs on {branch}",
                f"let in refs/heads/{branch}",
            )

    def _values(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        pairs = "".join(f"&{quote(key)}={quote(value)}" for key, value in query.items())
        url = f"{self.organisation.rstrip('/')}/{quote(self.project)}/_apis/{path}?api-version=7.1-preview.1{pairs}"
        basic = base64.b64encode(f":{self.token}".encode()).decode()
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {basic}", "Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                document = json_object(response.read(LARGEST))
        except urllib.error.HTTPError as error:
            with error:
                why = "the token is not accepted" if error.code in (203, 401, 403) else f"HTTP {error.code}"
            raise self._unread(why) from None
        except Malformed:
            # Without a valid token Azure answers with the page of its login.
            raise self._unread("the answer is no JSON, as for a token that is not accepted") from None
        except (OSError, HTTPException, ValueError) as error:
            raise self._unread(plain(str(getattr(error, "reason", error)))) from None
        values = document.get("value")
        return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []

    def _unread(self, why: str) -> OrderopsError:
        return OrderopsError(
            f"Azure DevOps cannot be asked about {plain(self.project)}: {why}",
            "give a token that may read environments: AZURE_DEVOPS_EXT_PAT=TOKEN, or SYSTEM_ACCESSTOKEN in a pipeline",
        )


def _type(check: Mapping[str, Any]) -> str:
    kind = check.get("type")
    return str(kind.get("name", "")) if isinstance(kind, dict) else ""


def _setting(check: Mapping[str, Any] | None, key: str) -> Any:
    settings = (check or {}).get("settings")
    return settings.get(key) if isinstance(settings, dict) else None
