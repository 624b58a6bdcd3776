"""The documentation says what the code does: settings, tables, commands, paths, links and pictures are held to it."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.core.management import get_commands

from audit.ingest import ingest_audit
from audit.models import AccessEvent
from kvadmin import __version__
from kvadmin.emulator import faults, identities, operations
from kvadmin.emulator.state import Azure
from kvadmin.jobs.schedule import periodic_jobs
from tests import factories
from tests.reference import README, ROOT, marked, tables
from vaults import reveals
from vaults.models import Health, Vault
from vaults.sync import sync_inventory

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]
SOURCES = [path for folder in ("kvadmin", "vaults", "audit") for path in (ROOT / folder).rglob("*.py")]
READERS = {"text", "switch", "number", "choice", "words", "pairs", "recipients", "url_config"}  # kvadmin/env.py
MOST_PICTURES, MOST_BYTES = 8, 300_000


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section(page: Path, title: str) -> str:
    """What stands under a heading, up to the next one of its rank."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", text_of(page), re.DOTALL | re.MULTILINE)
    assert found, f"{page.name} has no heading {title!r}"
    return found[2]


def rows(table: str) -> list[list[str]]:
    """The cells of each row that begins with a name in backticks."""
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines() if line[:3] == "| `"]


def code(cell: str) -> str:
    return cell.strip("`")


# --- Settings --------------------------------------------------------------------------------------------------------


@functools.cache
def env_calls() -> dict[str, ast.Call]:
    """The call that reads each variable, by the variable's name."""
    found: dict[str, ast.Call] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Call) and _reads_env(node) and isinstance(node.args[0], ast.Constant):
                found[str(node.args[0].value)] = node
    return found


def _reads_env(node: ast.Call) -> bool:
    function = node.func
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "env"
        and function.attr in READERS
    )


def default_of(call: ast.Call) -> str | None:
    """The default as it would stand in the environment; None when it is not a literal."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    node = call.args[1] if len(call.args) > 1 else named.get("default")
    if node is None:
        return "false" if isinstance(call.func, ast.Attribute) and call.func.attr == "switch" else ""
    return str(node.value) if isinstance(node, ast.Constant) else None


def example() -> list[str]:
    """The variables in .env.example, set or commented out."""
    return re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text_of(ROOT / ".env.example"), re.MULTILINE)


def settings_table() -> dict[str, list[str]]:
    return {code(cells[0]): cells for cells in rows(section(README, "Settings"))}


def test_every_variable_has_its_row_and_every_row_its_variable() -> None:
    assert sorted(settings_table()) == sorted(env_calls())


def test_the_example_file_has_exactly_the_variables_of_the_table() -> None:
    assert sorted(example()) == sorted(settings_table())


@pytest.mark.parametrize("name", sorted(env_calls()))
def test_the_default_in_the_table_is_the_one_in_the_code(name: str) -> None:
    default = default_of(env_calls()[name])

    if default is None:  # computed: then words stand there
        assert settings_table()[name][1]
    else:
        assert code(settings_table()[name][1]) == default


@pytest.mark.parametrize("name", sorted(name for name, call in env_calls().items() if call.func.attr == "number"))  # type: ignore[attr-defined]
def test_the_limits_of_a_number_are_told(name: str) -> None:
    limits = {keyword.arg: keyword.value for keyword in env_calls()[name].keywords}
    low, high = (ast.literal_eval(limits[bound]) for bound in ("low", "high"))

    assert f" {low} to {high}." in settings_table()[name][2]


@pytest.mark.parametrize("name", sorted(name for name, call in env_calls().items() if call.func.attr == "choice"))  # type: ignore[attr-defined]
def test_every_choice_is_told(name: str) -> None:
    import importlib

    allowed = env_calls()[name].args[2]
    settings = importlib.import_module("kvadmin.settings")
    choices = getattr(settings, allowed.id) if isinstance(allowed, ast.Name) else ast.literal_eval(allowed)

    assert [choice for choice in choices if f"`{choice}`" not in text_of(README)] == []


# --- Tables that are made from the code ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(tables()))
def test_the_table_in_the_readme_is_the_one_that_the_code_makes(name: str) -> None:
    assert marked(text_of(README), name) == tables()[name], "run: python -m tests.reference"


def test_the_emulators_operations_are_those_that_its_page_lists() -> None:
    lines = re.findall(r"^- \[x\] `.*", section(ROOT / "docs/emulator.md", "Key Vault"), re.MULTILINE)
    listed = re.findall(r"`((?:Secret|Key|Certificate)[A-Z]\w+)`", "\n".join(lines))

    assert sorted(listed) == sorted(operation.name for operation in operations.OPERATIONS)


def test_the_emulators_faults_are_those_that_its_page_lists() -> None:
    listed = [code(cells[0]) for cells in rows(section(ROOT / "docs/emulator.md", "Faults"))]

    assert sorted(listed) == sorted(faults.KINDS)


def test_every_check_has_its_row_and_every_row_its_check() -> None:
    known = re.findall(r'id="(kvadmin\.[EW]\d+)"', text_of(ROOT / "kvadmin/checks.py"))

    assert [code(cells[0]) for cells in rows(section(README, "System checks"))] == sorted(known)


def test_the_words_for_a_vaults_health_are_those_that_are_explained() -> None:
    table = rows(section(ROOT / "docs/operations.md", "What a vault's health means"))

    assert [(code(cells[0]), cells[1]) for cells in table] == Health.choices


def test_the_schedules_are_those_that_are_explained() -> None:
    table = rows(section(ROOT / "docs/operations.md", "The worker"))

    assert [code(cells[0]) for cells in table] == [job.name for job in periodic_jobs()]


def test_the_example_in_python_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```", text_of(ROOT / "docs/emulator.md"), re.DOTALL)

    assert example
    exec(compile(example[1], "docs/emulator.md", "exec"), {})  # noqa: S102 - it is our own page
    assert capsys.readouterr().out == "correct horse\n"


# --- The least rights ------------------------------------------------------------------------------------------------

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def least_rights(azure: Azure) -> Vault:
    """One vault that kvadmin's identity has exactly the README's rights for, after a sweep."""
    subscription = azure.add_subscription(SUBSCRIPTION, "Payments", kvadmin_roles=())
    logs = azure.add_workspace("security", subscription_id=SUBSCRIPTION, customer_id=f"{SUBSCRIPTION[:-1]}2")
    vault = azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, workspace=logs.resource_id)
    azure.put_secret("pay-prod", "db-password", "correct horse")
    scopes = {"SUBSCRIPTION": subscription, "VAULT": vault, "WORKSPACE": logs}
    for role, scope in re.findall(r'^assign "([^"]+)" +\$(\w+)', text_of(README), re.MULTILINE):
        azure.grant(identities.KVADMIN, role, scopes[scope].resource_id)
    sync_inventory()
    return Vault.objects.get()


@pytest.mark.django_db
def test_the_readmes_rights_are_enough_to_browse(least_rights: Vault) -> None:
    names = [secret.name for secret in least_rights.secrets.all()]

    assert (least_rights.health, least_rights.log_state, names) == ("ok", "ok", ["db-password"])


@pytest.mark.django_db
def test_the_readmes_rights_are_enough_to_reveal_and_to_find_the_read_in_the_log(least_rights: Vault) -> None:
    read = reveals.reveal(factories.actor(factories.person("Ada")), least_rights.secrets.get(), reason="INC-1")
    ingest_audit([least_rights.workspace_id])

    assert read.value.expose() == "correct horse"
    assert list(AccessEvent.objects.filter(is_read=True).values_list("match", "person")) == [("explained", "Ada")]


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset|href)=\"([^\"#:]+)\"", text_of(page))
    targets = [unquote(first or second).split()[0] for first, second in links]

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:kvadmin|vaults|audit|templates|static|tests|docs|\.ci)/[^`\s<>*:]+)`", text_of(page))

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE)
    named = re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text_of(page), re.MULTILINE)

    assert [name for name in named if name not in targets] == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_management_command_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"manage\.py ([a-z_]+)", text_of(page))

    assert [name for name in named if name not in get_commands()] == []


def test_the_changelog_tells_of_this_version() -> None:
    titles = re.findall(r"^## (\S+)", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]

    assert __version__ == project["version"]
    assert __version__ in titles


# --- Pictures --------------------------------------------------------------------------------------------------------


def test_pictures_are_few_small_and_shown() -> None:
    pictures = sorted((ROOT / "docs/pictures").glob("*"))
    everything = "".join(text_of(page) for page in PAGES)

    assert 0 < len(pictures) <= MOST_PICTURES
    assert [picture.name for picture in pictures if picture.stat().st_size > MOST_BYTES] == []
    assert [picture.name for picture in pictures if f"pictures/{picture.name}" not in everything] == []
