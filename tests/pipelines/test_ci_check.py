"""`orderops ci check`: the shipped pipeline is right, and each planted mistake is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.repository import ENVIRONMENTS, ROOT

SHIPPED = (ROOT / "azure-pipelines.yml").read_text(encoding="utf-8")
# What is written instead of what, and what has to be said of it.
PLANTED = {
    "a command that does not exist": (
        "orderops up --env dev --yes",
        "orderops deploy --env dev --yes",
        "stage dev: orderops has no command `deploy`; did you mean `service deploy`?",
    ),
    "an option that does not exist": (
        "orderops up --env dev --yes",
        "orderops up --env dev --yes --fast",
        "stage dev: `orderops up` has no option --fast",
    ),
    "an environment that does not exist": (
        "orderops up --env dev --yes",
        "orderops up --env develop --yes",
        "stage dev: there is no environment develop",
    ),
    "a question that nobody answers": ("up --env dev --yes", "up --env dev", "nobody answers"),
    "no environment at all": ("orderops up --env dev --yes", "orderops up --yes", "names no environment"),
    "prod without an approval": (
        "      - deployment: deploy\n        environment: prod #",
        "      - deployment: deploy\n        environment: anything #",
        "stage prod: prod is changed by a job without the environment prod",
    ),
    "dev from every branch": (
        "    condition: and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/develop'))\n",
        "",
        "stage dev: dev is changed from every branch",
    ),
    "prod after checks that failed": (
        "    dependsOn: plan_prod\n    condition: and(succeeded(), ",
        "    dependsOn: plan_prod\n    condition: and(always(), ",
        "stage prod: prod is changed from every branch, or after checks that failed",
    ),
    "prod by every push": (
        "    trigger: manual # starts when somebody starts it\n",
        "",
        "stage prod: prod is changed by every push that gets so far",
    ),
    "prod planned after its approval": (
        ' --plan "$plan"',
        ' --image "$IMAGE"',
        "stage prod: what is applied to prod is planned after its approval",
    ),
    "a plan that nothing saves": ("--out plan/prod.json ", "", "stage prod: no stage before saves a plan of prod"),
    "a plan by the role that changes": (
        "awsCredentials: orderops-prod-plan",
        "awsCredentials: orderops-prod",
        "stage plan_prod: the plan of prod is made with the credentials that change it",
    ),
    "a plan behind the approval": (
        "      - job: plan\n",
        "      - deployment: plan\n        environment: prod\n",
        "stage plan_prod: the plan of prod is made in its environment",
    ),
    "prod not named again": (
        "--yes --confirm prod ",
        "--yes ",
        "stage prod: prod is protected, and is not named again",
    ),
    "one role for two environments": (
        "awsCredentials: orderops-staging",
        "awsCredentials: orderops-dev",
        "connection orderops-dev: one role reaches dev and staging",
    ),
    "a migration": (
        "orderops up --env dev --yes",
        "orderops up --env dev --yes\n                      orderops migrate apply --env dev --yes",
        "stage dev: `orderops migrate apply` runs in a pipeline",
    ),
    "a key": (
        "pool:\n",
        "# AKIAABCDEFGHIJKLMNOP\npool:\n",
        "a key of AWS stands in the file",
    ),
    "an output of no step": (
        "outputs['deploy.release.image']",
        "outputs['release.image']",
        "the output staging.deploy.release.image is empty: the key of a deployment job begins with its name, deploy",
    ),
    "an output that is not set": (
        "variable=image;isOutput=true",
        "variable=picture;isOutput=true",
        "is empty: the step sets no output image",
    ),
    "a branch that is gone": ("refs/heads/develop", "refs/heads/developer", "the repository has no branch developer"),
}
BROKEN = {
    "no YAML": ("stages:\n", "stages: [\n", ":"),
    "a key twice": ("pool:\n", "pool: {}\npool:\n", "the key 'pool' stands twice"),
    "no stages": ("stages:\n", "phases:\n", "has no list of stages"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with the shipped pipeline, environments, and both branches."""
    shutil.copytree(ENVIRONMENTS, tmp_path / "environments")
    (tmp_path / "azure-pipelines.yml").write_text(SHIPPED, encoding="utf-8")
    for arguments in (
        ("init", "-q", "-b", "master"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "Begin"),
        ("branch", "develop"),
    ):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    return tmp_path


@pytest.fixture
def check(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Orderops:
    for name in ("AZURE_DEVOPS_EXT_PAT", "SYSTEM_ACCESSTOKEN", "SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT"):
        monkeypatch.delenv(name, raising=False)
    where = ("--file", str(folder / "azure-pipelines.yml"), "--environments", str(folder / "environments"))
    return Orderops(capsys, *where)


def plant(folder: Path, old: str, new: str) -> None:
    assert old in SHIPPED, old
    (folder / "azure-pipelines.yml").write_text(SHIPPED.replace(old, new), encoding="utf-8")


def test_the_shipped_pipeline_has_no_mistake(check: Orderops) -> None:
    said = check("ci", "check", "--json")

    assert said.json["findings"] == []
    assert said.code == 0
    assert said.json["not_checked"] == [
        "what Azure DevOps keeps (approvals, branch control): --organization and --project"
    ]


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found_with_what_to_write_instead(folder: Path, check: Orderops, mistake: str) -> None:
    old, new, words = PLANTED[mistake]
    plant(folder, old, new)

    said = check("ci", "check", "--json")

    found = [f"{one['where']}: {one['what']}" for one in said.json["findings"]]
    assert any(words in line for line in found), found
    assert all(one["hint"] for one in said.json["findings"])
    assert said.code == 3


@pytest.mark.parametrize("fault", BROKEN)
def test_a_file_that_azure_would_refuse_is_an_error(folder: Path, check: Orderops, fault: str) -> None:
    old, new, words = BROKEN[fault]
    plant(folder, old, new)

    said = check("ci", "check")

    assert said.code == 1
    assert words in said.err


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, check: Orderops, folder: Path) -> None:
    (folder / "azure-pipelines.yml").unlink()

    assert "No such file or directory" in check("ci", "check").err


class Azure:
    """Azure DevOps as far as it answers about environments and their checks."""

    def __init__(self) -> None:
        self.environments: list[dict[str, Any]] = [{"id": 7, "name": "prod"}, {"id": 8, "name": "staging"}]
        branches = {"displayName": "Branch control", "inputs": {"allowedBranches": "refs/heads/master"}}
        self.checks: list[dict[str, Any]] = [
            {"type": {"name": "Approval"}, "settings": {"approvers": [{"displayName": "Ann"}]}},
            {"type": {"name": "Task Check"}, "settings": branches},
        ]
        self.page = ""
        self.asked: list[str] = []
        azure = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                azure.asked.append(self.path)
                values = azure.environments if "environments" in self.path else azure.checks
                authorized = self.headers["Authorization"] == "Basic OnRva2Vu"
                body = azure.page or json.dumps({"value": values})
                self.send_response(200 if authorized else 401)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch, check: Orderops) -> Iterator[Azure]:
    azure = Azure()
    monkeypatch.setenv("AZURE_DEVOPS_EXT_PAT", "token")
    monkeypatch.setenv("SYSTEM_COLLECTIONURI", f"http://127.0.0.1:{azure.server.server_port}/ours/")
    monkeypatch.setenv("SYSTEM_TEAMPROJECT", "Order System")
    yield azure
    azure.server.shutdown()


def test_an_environment_with_approval_and_branch_control_is_right(azure: Azure, check: Orderops) -> None:
    said = check("ci", "check", "--json")

    assert (said.code, said.json) == (0, {"findings": [], "not_checked": []})
    assert azure.asked[0].startswith("/ours/Order%20System/_apis/distributedtask/environments?api-version=7.1")
    assert "resourceType=environment&resourceId=7" in azure.asked[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda azure: azure.checks.pop(0), "environment prod: nobody has to approve"),
        (lambda azure: azure.checks.pop(1), "environment prod: every branch gets in"),
        (
            lambda azure: azure.checks[1]["settings"]["inputs"].update(allowedBranches="*"),
            "environment prod: every branch gets in",
        ),
        (
            lambda azure: azure.checks[1]["settings"]["inputs"].update(allowedBranches="refs/heads/main"),
            "its branch control lets in refs/heads/main, and the stage runs on master",
        ),
        (lambda azure: azure.environments.pop(0), "environment prod: does not exist"),
    ],
)
def test_what_an_environment_lacks_is_found(azure: Azure, check: Orderops, change: Any, words: str) -> None:
    change(azure)

    said = check("ci", "check")

    assert said.code == 3
    assert words in said.err


@pytest.mark.parametrize("fault", ["token", "page", "away"])
def test_azure_that_cannot_be_asked_is_an_error_with_a_next_step(
    azure: Azure, check: Orderops, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "token":
        monkeypatch.setenv("AZURE_DEVOPS_EXT_PAT", "another")
    elif fault == "page":
        azure.page = "<html>sign in</html>"
    else:
        monkeypatch.setenv("SYSTEM_COLLECTIONURI", "http://127.0.0.1:1/ours")

    said = check("ci", "check")

    assert said.code == 1
    assert "Azure DevOps cannot be asked about Order System" in said.err
    assert "AZURE_DEVOPS_EXT_PAT" in said.err
