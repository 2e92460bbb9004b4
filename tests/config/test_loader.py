"""Environment files and folders: where they are found, and errors for those that cannot be read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orderops.config.environment import environment_names, environments_folder, load_environment, packaged
from orderops.config.loader import key_lines
from orderops.errors import UsageError
from support.environment_cases import SERVICE, declare, refusal
from support.repository import ENVIRONMENTS, ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for environment files in the working directory."""
    monkeypatch.chdir(tmp_path)
    made = Path("environments")
    made.mkdir()
    return made


BROKEN = {
    "no value": ("[network]\nzones =\n", "2:8: is not TOML: invalid value"),
    "a quote left open": ('region = "ap', "1:13: is not TOML: unterminated string"),
    "an end too early": ("account = [", "1:12: is not TOML: "),
    "a table twice": ("[network]\n[network]\n", "2:9: is not TOML: cannot declare network twice"),
    "a key twice": ("emulated = true\nemulated = true\n", "2:16: is not TOML: cannot overwrite a value"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_toml_syntax_error_is_reported_with_line_and_column(folder: Path, text: str, expected: str) -> None:
    (line,) = refusal(folder, text)

    assert line.startswith(expected)


def test_a_file_that_is_not_utf8_is_an_error(folder: Path) -> None:
    declare(folder, SERVICE)
    (folder / "dev.toml").write_bytes(SERVICE.encode() + b"# caf\xe9\n")

    with pytest.raises(UsageError, match=r"^environments/dev\.toml: is not UTF-8 text \(byte 24\)$"):
        load_environment("dev")


def test_a_file_with_byte_order_mark_and_crlf_is_read(folder: Path) -> None:
    declare(folder, SERVICE)
    (folder / "dev.toml").write_bytes(b"\xef\xbb\xbf[database]\r\n[services.orders]\r\ncpu = 512\r\nmemory = 1024\r\n")

    assert load_environment("dev").services["orders"].cpu == 512


def test_a_folder_in_place_of_a_file_is_an_error(folder: Path) -> None:
    declare(folder, SERVICE)
    (folder / "qa.toml").mkdir()

    with pytest.raises(UsageError, match=r"^environments/qa\.toml: cannot be read: is a directory$"):
        load_environment("qa")


def test_a_missing_environment_file_under_git_has_a_hint_to_restore_it() -> None:
    with pytest.raises(UsageError) as refused:
        load_environment("qa", ENVIRONMENTS)

    file = ENVIRONMENTS / "qa.toml"
    assert refused.value.hint.splitlines() == [
        "available: dev, local, prod, staging",
        f"if its file was deleted or renamed: git log --oneline -- {file}; git checkout COMMIT~ -- {file}",
    ]


@pytest.mark.parametrize("name", ["stagin", "", "../environments/dev", "dev.toml"])
def test_an_unknown_environment_is_an_error_with_the_available_names(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_environment(name, ENVIRONMENTS)

    assert refused.value.message == f"no environment named {name!r}"
    assert refused.value.hint == "available: dev, local, prod, staging"


@pytest.mark.parametrize(
    ("place", "words"),
    [("none", "cannot be read: no such file or directory"), ("environments", "holds no *.toml")],
    ids=["absent", "empty"],
)
def test_a_folder_without_environments_is_an_error(folder: Path, place: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_environment("dev", folder.parent / place)

    assert refused.value.message == f"the environments folder {place!r} {words}"
    assert refused.value.hint == "name the folder that holds your NAME.toml files: --environments DIR"


def test_environments_in_the_working_directory_precede_the_packaged_ones(folder: Path) -> None:
    assert environment_names() == ["dev", "local", "prod", "staging"]

    declare(folder, SERVICE, "mine")

    assert environments_folder() == folder
    assert environment_names() == ["mine"]
    assert environments_folder(ENVIRONMENTS) == ENVIRONMENTS


def test_an_installed_package_includes_its_environments(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "orderops"
    shutil.copytree(ENVIRONMENTS, package / "_environments")

    assert packaged(package) == package / "_environments"
    assert packaged(ROOT / "src" / "orderops") == ENVIRONMENTS


def test_reading_an_environment_does_not_import_boto() -> None:
    code = "import orderops.config.environment, sys; sys.exit(any('boto' in module for module in sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_line_of_a_key_is_found_in_every_toml_notation() -> None:
    text = """# [not.a.table]
a = "[x]" # = 1
b.c = 1
'd e' = { f = 1, g.h = 2 }

[i]
j = [
  "k = 1",  # [l]
]
m = '''
[n]
o = 1
'''
  [ p . "q.r" ]   # s
  t = 1979-05-27
[[u]]
v = 1
[[u]]
"""

    assert key_lines(text) == {
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 3,
        ("d e",): 4,
        ("d e", "f"): 4,
        ("d e", "g"): 4,
        ("d e", "g", "h"): 4,
        ("i",): 6,
        ("i", "j"): 7,
        ("i", "m"): 10,
        ("p",): 14,
        ("p", "q.r"): 14,
        ("p", "q.r", "t"): 15,
        ("u",): 16,
        ("u", "v"): 17,
    }
