"""The installation's page and its Bicep file name only what there is: settings, roles, parameters, symbols."""

from __future__ import annotations

import ast
import json
import re

from kvadmin.gateway import errors
from tests.reference import README, ROOT
from tests.test_docs import code, env_calls, rows, section

INSTALL = (ROOT / "docs/install.md").read_text(encoding="utf-8")
BICEP = (ROOT / "docs/azure.bicep").read_text(encoding="utf-8")
CODE = re.sub(r"^\s*//.*$", "", BICEP, flags=re.MULTILINE)
IN_THE_CACHE = {"CACHE_PASSWORD"}  # the one variable that is Redis's, not kvadmin's


def test_the_bicep_file_sets_only_settings_that_exist() -> None:
    named = set(re.findall(r"^\s+name: '([A-Z][A-Z0-9_]+)'$", CODE, re.MULTILINE))

    assert len(named) > 10
    assert named - IN_THE_CACHE - set(env_calls()) == set()


def test_every_parameter_and_symbol_of_the_bicep_file_is_used() -> None:
    declared = re.findall(r"^(?:param|var|resource) (\w+)", CODE, re.MULTILINE)
    ends = {"databaseZoneLink", "vaultZoneLink", "mayQuery", "maySeeWorkspace", "mayReveal", "worker", "cache"}

    assert len(declared) == len(set(declared))
    assert [name for name in declared if len(re.findall(rf"\b{name}\b", CODE)) < 2 and name not in ends] == []


def test_what_the_bicep_file_refers_to_is_declared() -> None:
    declared = set(re.findall(r"^(?:param|var|resource) (\w+)", CODE, re.MULTILINE))
    referred = set(re.findall(r"\b(\w+)\.(?:id|properties|listKeys)\b", CODE)) | set(re.findall(r"roles\.(\w+)", CODE))

    assert referred - declared - set(re.findall(r"^  (\w+): '[0-9a-f-]{36}'$", CODE, re.MULTILINE)) == set()


def apps() -> dict[str, str]:
    """The text of each container app of the Bicep file, by its symbol."""
    return dict(re.findall(r"^resource (\w+) 'Microsoft\.App/containerApps@[^']+' = \{\n(.*?)^\}", CODE, re.M | re.S))


def test_web_servers_and_workers_share_the_folder_of_archives_as_the_user_of_the_image() -> None:
    """Where it is not mounted, an archive is gone with the container that made it."""
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    user, group = re.findall(r"^USER (\d+):(\d+)$", image, re.MULTILINE)[0]
    mounted = {
        name: (" volumes: volumes\n" in text, text.count("volumeMounts: volumeMounts")) for name, text in apps().items()
    }

    assert mounted == {"web": (True, 1), "worker": (True, 1), "cache": (False, 0)}
    assert re.findall(r"mountPath: '(.+)'", CODE) == re.findall(r"KVADMIN_ARCHIVE_DIR=(\S+)/archives", image)
    assert f"mountOptions: 'uid={user},gid={group},dir_mode=0700,file_mode=0600" in CODE


def test_neither_database_nor_share_has_a_public_address() -> None:
    assert re.findall(r"publicNetworkAccess: '(\w+)'", CODE) == ["Disabled", "Disabled"]
    assert "internal: true" in CODE


def test_brackets_of_the_bicep_file_match() -> None:
    bare = re.sub(r"'(?:[^'\\]|\\.)*'", "", CODE)

    assert [bare.count(bracket) for bracket in "{[("] == [bare.count(bracket) for bracket in "}])"]


def test_the_bicep_file_holds_no_secret_and_hides_those_it_is_given() -> None:
    secret = re.findall(r"@secure\(\)\n(?:@\w+\(.*\)\n)*param (\w+) string\n", CODE)
    shown = "".join(re.findall(r"^output .*$", CODE, re.MULTILINE))

    assert secret == ["secretKey", "databasePassword", "cachePassword"]
    assert [name for name in [*secret, "listKeys"] if name in shown] == []


def test_the_page_gives_the_rights_that_the_readme_gives_and_the_tests_prove() -> None:
    wanted = re.findall(r'^assign "([^"]+)" +\$(\w+)', README.read_text(encoding="utf-8"), re.MULTILINE)

    assert re.findall(r'^assign "([^"]+)" +\$(\w+)', INSTALL, re.MULTILINE) == wanted


def test_the_ids_of_roles_are_the_same_on_the_page_and_in_the_file() -> None:
    told = {
        name.lower(): guid for name, guid in re.findall(r"^\| ([\w ]+) \| `([0-9a-f-]{36})`", INSTALL, re.MULTILINE)
    }
    used = dict(re.findall(r"^  (\w+): '([0-9a-f-]{36})'$", CODE, re.MULTILINE))

    assert used.pop("acrPull")
    assert {name: told[re.sub(r"([A-Z])", r" \1", name).lower()] for name in used} == used


def test_the_settings_of_app_service_exist() -> None:
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", INSTALL, re.DOTALL)]

    assert [name for block in blocks for name in block if name not in env_calls()] == []


# --- Troubleshooting -------------------------------------------------------------------------------------------------
TROUBLE = ROOT / "docs/troubleshooting.md"


def test_every_code_of_azures_errors_has_its_row() -> None:
    assert [code(cells[0]) for cells in rows(section(TROUBLE, "What Azure did not do"))] == list(errors.WORDS)


def test_every_check_has_its_row_with_what_to_do() -> None:
    known = re.findall(r'id="(kvadmin\.[EW]\d+)"', (ROOT / "kvadmin/checks.py").read_text(encoding="utf-8"))
    table = rows(section(TROUBLE, "kvadmin's own checks"))

    assert [code(cells[0]) for cells in table] == sorted(known)
    assert [cells[0] for cells in table if len(cells) != 3] == []


# --- The threat model ------------------------------------------------------------------------------------------------
THREATS = (ROOT / "docs/threats.md").read_text(encoding="utf-8")


def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_code_and_tests_that_exist() -> None:
    promises = [
        line.strip("| ").split(" | ") for line in section(ROOT / "docs/threats.md", "What is promised").splitlines()
    ]
    kept = [cells for cells in promises if len(cells) == 3 and cells[0] not in {"Promise", "---"}]
    named = [test for cells in kept for test in re.findall(r"`(tests/\S+?\.py)::(\w+)`", cells[2])]

    assert len(kept) > 15
    assert [cells[0] for cells in kept if "`" not in cells[1] or "::" not in cells[2]] == []
    assert [f"{path}::{name}" for path, name in named if name not in functions(path)] == []


def test_the_settings_that_these_pages_name_exist() -> None:
    text = INSTALL + THREATS + TROUBLE.read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:KVADMIN|AZURE)_[A-Z_]+[A-Z])\b", text))

    assert {name for name in named if not {name, name.removesuffix("_FILE")} & set(env_calls())} == set()
