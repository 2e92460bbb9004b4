"""Who may import whom, and the habits of the source that a test can keep."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import orderops
from support.syntax_trees import nodes, tree

SOURCE = Path(orderops.__file__).parent
TESTS = Path(__file__).parent

# Packages and root modules, top to bottom. A module imports from its own package and from lines below it; what is on
# one line does not import each other.
LAYERS = """
cli
operations
ui
board
health doctor reports
iam
rehearsal
restore drift
migrations images remote queues releases alerts trail export
pipelines costs
infra
local
runs
resources
engine
database
config aws
errors
frozen
text
"""
# The same inside a package, of its sub-packages and modules. What is not named may import all that is.
INNER_LAYERS = {
    "aws": """
        documents metrics / validation / client / sessions / event_handlers service_models / private_cache
        / translate / call_log diagnosis ownership / redaction partition
    """,
    "cli": """
        remote_entrypoint scheduled_entrypoint / __init__ / tree / root
        / alerts board ci env infra service queue report migrate restore local
        / migrate_lint migrate_rehearsal restore_compare / options help command_tree
    """,
    "health": "examination / verdict / alarms database entrance queue releases / service / laptop / component",
    "local": """
        daemon / client / data_plane / strict / apigateway ecs rds sqs / elb / emulator / log_files / directories
        / keys ports users
    """,
    "migrations": "migrator trial / execution lint / data_loss ledger / sql",
    "restore": "points / point_in_time promotion salvage / window compare / endpoints / instances / timestamps",
}
APART = "service"

# Third-party packages, and who may import them. The service is an application of its own and has its own rules.
PACKAGES = {
    "boto3": {"aws"},
    "botocore": {"aws"},
    "cryptography": {"local"},
    "cyclonedx": {"images"},
    "httpx": {"local"},
    "jinja2": {"board"},
    "jsonschema": {"local"},
    "moto": {"local"},
    "msgspec": {"frozen"},
    "packageurl": {"images"},
    "platformdirs": {"local", "config", "aws", "database"},
    "postgast": {"migrations", "rehearsal"},
    "psutil": {"local"},
    "psycopg": {"database", "migrations", "local", "rehearsal", "restore"},
    "pydantic": {"aws", "config", "images"},
    "rich": {"ui"},
    "yaml": {"pipelines"},
    "starlette": {"local"},
    "tenacity": {"database"},
    "tomlkit": {"config"},
    "typer": {"cli"},
    "uvicorn": {"local"},
    "werkzeug": {"local"},
}
EXCEPTIONS = {
    ("aws.service_models", "msgspec"): "reads the large documents that every command needs, and makes no class",
    ("operations.gate", "psycopg"): "the type of a connection that it looks through",
    ("operations.migration_target", "psycopg"): "the type of a connection that it hands on",
    ("local.daemon", "botocore"): "moto would load the models of AWS three times at import",
    ("operations.workspace", "botocore"): "the emulator is opened with its key, without profiles and proxies",
}
KNOWS_LOCAL = {
    "operations.workspace": "the one line that picks the endpoint, and no question before what can harm nothing",
    "costs.estimate": "what runs on this machine costs nothing",
    "doctor": "what this machine must have to be the laptop environment",
    "config.environment": "a service that runs as a process of this machine is a mistake elsewhere",
    "health.laptop": "why a database of the laptop does not run stands in `orderops local status`",
    "reports.firewall": "rules that only AWS can judge are named where they are not judged",
    "images.resolve": "the laptop has no registry to push to",
}
CALLS_AWS = {
    "alerts",
    "aws",
    "board",
    "database",
    "doctor",
    "engine",
    "health",
    "images",
    "local",
    "queues",
    "releases",
    "remote",
    "reports",
    "resources",
    "restore",
    "trail",
}
LOCAL_MAY_IMPORT = {"local", "errors", "__init__"}
# Constants of the code that a test may take, and why: every other expected value is written in the test.
MAY_BE_IMPORTED = {
    "UNKNOWN": "a placeholder, not a value",
    "UNDURABLE": "settings of a server for tests",
    "SMALLEST": "a boundary that a case has to reach",
    "PIECE": "a boundary that a case has to reach",
    "WINDOW": "a boundary that a case has to reach",
    "FRESH": "a boundary that a case has to reach",
    "OFFLINE": "a boundary that a case has to reach",
    "ERRORS": "each entry needs a case",
    "WARNINGS": "each entry needs a case",
    "NAMES": "each builder is tried",
    "OBJECT_ACTIONS": "compared with the test's own list",
    "WEAKER": "each mode is taken on a real server",
    "FORM": "a long hint, whose words another test reads",
    "MANIFESTS": "sent to a real registry, which judges them",
    "FOLDER_FORMAT": "the name of a folder that the test looks for",
    "NOTHING_HERE": "an action whose parts the test reads from the emulator",
    "ALONE": "each setting is tried",
}
HEAVY = ("boto3", "botocore", "moto", "psycopg", "pydantic", "tenacity", "psutil", "httpx", "orderops.infra.stack")
LONGEST = 400

FILES = sorted(SOURCE.rglob("*.py"))
MODULES = {".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES}
OURS = {name: file for name, file in MODULES.items() if name.partition(".")[0] != APART}


def heights(lines: list[str]) -> dict[str, int]:
    return {name: height for height, line in enumerate(reversed(lines)) for name in line.split()}


HEIGHTS = heights(LAYERS.split("\n"))
INNER_HEIGHTS = {
    f"{package}.{name}": height
    for package, lines in INNER_LAYERS.items()
    for name, height in heights(lines.split("/")).items()
}


def test_every_module_has_a_layer() -> None:
    homeless = {name for name in OURS if name not in ("__init__", "__main__") and family(name) not in HEIGHTS}

    assert homeless == set()


def test_a_module_imports_from_lines_below_its_own() -> None:
    above = {
        (name, other)
        for name in OURS
        for other in imported(name)
        if other in OURS and family(other) != family(name) and height(other) >= height(name)
    }

    assert above == set(), "the first imports the second, which stands above or beside it"


def test_a_module_imports_from_lines_below_its_own_inside_its_package() -> None:
    above = {
        (name, other)
        for name in OURS
        for other in imported(name)
        if family(other) == family(name) and inner(other) != inner(name)
        if {inner(name), inner(other)} <= INNER_HEIGHTS.keys()
        if INNER_HEIGHTS[inner(other)] >= INNER_HEIGHTS[inner(name)]
    }

    assert above == set(), "the first imports the second, which stands above or beside it"


@pytest.mark.parametrize("package", INNER_LAYERS)
def test_every_inner_layer_exists(package: str) -> None:
    there = {inner(name) for name in MODULES if family(name) == package}

    assert {name for name in INNER_HEIGHTS if family(name) == package} - there == set()


def test_the_emulator_takes_nothing_from_the_code_that_it_checks() -> None:
    reaching = {
        (name, other)
        for name in OURS
        if family(name) == "local"
        for other in imported(name)
        if family(other) not in LOCAL_MAY_IMPORT
    }

    assert reaching == set()


def test_a_test_writes_the_values_that_it_expects() -> None:
    taken = {
        (module, name)
        for file in TESTS.rglob("*.py")
        for module, name in constants_imported(file)
        if name not in MAY_BE_IMPORTED
    }

    assert taken == set(), "a constant that the code and its test share proves nothing"


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({name: imported(name) & MODULES.keys() for name in MODULES}).prepare()


def test_the_service_stands_apart() -> None:
    of_service = {name for name in MODULES if name.partition(".")[0] == APART}

    assert {name for name in of_service for other in imported(name) if other in OURS and other != "__init__"} == set()
    assert {name for name in OURS for other in imported(name) if other in of_service} == set()


def test_only_the_layers_named_know_a_package() -> None:
    strangers = {
        (name, package)
        for name in OURS
        for package in packages(name)
        if family(name) not in PACKAGES.get(package, set()) and (name, package) not in EXCEPTIONS
    }

    assert strangers == set()


def test_only_resources_and_what_calls_aws_ask_it_anything() -> None:
    calling = {family(name) for name, file in OURS.items() if any(calls_aws(file))}

    assert calling - CALLS_AWS == set()


def test_no_branch_asks_whether_it_is_the_laptop() -> None:
    asking = {name for name, file in OURS.items() if family(name) != "local" and asks_for_local(file)}

    assert asking <= KNOWS_LOCAL.keys()


def test_only_the_terminal_prints() -> None:
    printing = {name for name, file in OURS.items() if names_called(file) & {"print"}}

    assert printing == set()


def test_every_module_says_what_belongs_there() -> None:
    silent = {name for name, file in MODULES.items() if not docstring(file)}

    assert silent == set()


def test_no_file_is_too_long() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in MODULES.items()}

    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_resource_has_its_test() -> None:
    resources = {file.stem for file in (SOURCE / "resources").glob("*.py")} - {"__init__"}
    tested = {file.stem.removeprefix("test_") for file in (TESTS / "resources").glob("test_*.py")}

    assert resources - tested == set()


def test_no_resource_has_a_dataclass_in_which_what_it_needs_would_be_missed() -> None:
    # What a resource needs is looked for in values of the class Frozen only.
    files = (SOURCE / "resources").rglob("*.py")

    assert [file.name for file in files if "@dataclass" in file.read_text(encoding="utf-8")] == []


def test_help_loads_nothing_heavy() -> None:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orderops", "--help"], capture_output=True, text=True
    )

    assert told.returncode == 0, told.stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "orderops.cli" in loaded
    assert loaded & set(HEAVY) == set()
    # A Markdown parser, a syntax highlighter and attrs: half of the time of a help page, and used by none of ours.
    assert loaded & {"rich.markdown", "rich.traceback", "markdown_it", "pygments", "attr"} == set()


def family(name: str) -> str:
    """The package of a module, or the module itself where it is directly in `orderops`."""
    return name.partition(".")[0]


def inner(name: str) -> str:
    """The sub-package of a module, or the module itself where it is directly in a package."""
    return ".".join(name.split(".")[:2]) if "." in name else f"{name}.__init__"


def height(name: str) -> int:
    return HEIGHTS.get(family(name), -1 if name == "__init__" else len(HEIGHTS))


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of ours that a module imports anywhere in its text, lazily or for its types too."""
    return frozenset(found for text in _imports(name) for found in _ours(text)) - {name}


def packages(name: str) -> set[str]:
    """The packages that are neither Python's own nor ours."""
    tops = {text.partition(".")[0] for text in _imports(name)}
    return {top for top in tops if top not in sys.stdlib_module_names and top != "orderops"}


def constants_imported(file: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each imported upper-case name that its module sets to a literal."""
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "orderops":
            literals = literal_constants(node.module.partition(".")[2])
            yield from ((node.module, alias.name) for alias in node.names if alias.name in literals)


@cache
def literal_constants(module: str) -> frozenset[str]:
    if module not in MODULES:
        return frozenset()
    found = set()
    for node in tree(MODULES[module]).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id.isupper() and value is not None and is_literal(value):
            found.add(target.id)
    return frozenset(found)


def is_literal(node: ast.AST) -> bool:
    return not any(isinstance(child, ast.Name | ast.Attribute) for child in ast.walk(node)) or (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("frozenset", "timedelta")
        and all(is_literal(part) for part in [*node.args, *(keyword.value for keyword in node.keywords)])
    )


def calls_aws(file: Path) -> Iterator[ast.AST]:
    """Places such as `aws.sqs.list_queues`: an attribute of a client of something called aws."""
    for node in nodes(file):
        match node:
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="aws"), attr=service)) if service != "once":
                yield node
            case ast.Attribute(value=ast.Attribute(value=ast.Attribute(attr="aws"), attr=service)) if service != "once":
                yield node


def asks_for_local(file: Path) -> bool:
    """Whether an environment is asked for its name, or whether it is emulated, before anything is done."""
    for node in nodes(file):
        if isinstance(node, ast.If | ast.IfExp):
            asked = ast.unparse(node.test)
            if ".emulated" in asked or "environment == 'local'" in asked or "name == 'local'" in asked:
                return True
    return False


def names_called(file: Path) -> set[str]:
    calls = [node.func for node in nodes(file) if isinstance(node, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


def docstring(file: Path) -> str | None:
    return ast.get_docstring(tree(file))


def _imports(name: str) -> Iterator[str]:
    for node in nodes(MODULES[name]):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def _ours(text: str) -> Iterator[str]:
    """The module that an import names: `orderops.aws.every` is aws."""
    top, _, rest = text.partition(".")
    if top == "orderops":
        yield rest if rest in MODULES else rest.rpartition(".")[0] or "__init__"
