"""Imports point one way. Read by `ast`, so that an import inside a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("kvadmin", "vaults", "audit")

# What may not be imported, by where. A name stands for itself and all below it.
RULES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # who,                 never imports,                                       except in
    ("", ("azure",), ("kvadmin.gateway",)),
    ("", ("django_tasks",), ("kvadmin.jobs", "kvadmin.settings")),
    ("kvadmin.emulator", ("django", "azure", "vaults", "audit", "kvadmin"), ()),
    ("kvadmin.actions", ("django", "kvadmin", "vaults", "audit"), ()),
    ("kvadmin.gateway", ("vaults", "audit", "kvadmin.jobs"), ()),
    ("kvadmin.jobs", ("vaults", "audit", "kvadmin.gateway", "kvadmin.emulator"), ()),
    ("audit", ("vaults",), ("audit.views", "audit.management")),
    ("audit.ledger", ("vaults", "django.http", "kvadmin.emulator"), ()),
    ("audit.parse", ("django", "vaults", "kvadmin.gateway"), ()),
    ("vaults.models", ("kvadmin.gateway", "vaults.views", "vaults.policy", "audit"), ()),
    ("vaults.policy", ("kvadmin.gateway", "vaults.views"), ()),
    # No page and no job knows whether Azure is real.
    ("vaults", ("kvadmin.emulator",), ()),
    ("audit", ("kvadmin.emulator",), ()),
)


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product, by its dotted name."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]
    return {_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.Module) -> Iterator[str]:
    """Every name that the module imports, as far as it can be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def offences(who: str, never: tuple[str, ...], but: tuple[str, ...]) -> list[str]:
    here = {name: tree for name, tree in modules().items() if not who or within(name, (who,))}
    return [
        f"{name} imports {target}"
        for name, tree in here.items()
        for target in imported(tree)
        if within(target, never) and not within(name, but) and not (who and within(target, (who,)))
    ]


@pytest.mark.parametrize(("who", "never", "but"), RULES, ids=[f"{who or 'all'}-{never[0]}" for who, never, _ in RULES])
def test_imports_point_one_way(who: str, never: tuple[str, ...], but: tuple[str, ...]) -> None:
    assert offences(who, never, but) == []


def test_the_rules_speak_of_modules_that_exist() -> None:
    known = set(modules())

    named = {name for who, _, but in RULES for name in (who, *but) if name}
    assert {name for name in named if name not in known} == set()


def test_an_import_inside_a_function_is_found() -> None:
    tree = ast.parse("def f():\n    from azure.core import x\n    import azure.identity as y\n")

    assert list(imported(tree)) == ["azure.core.x", "azure.identity"]


def test_a_name_that_only_begins_alike_is_another_name() -> None:
    assert within("azure.core", ("azure",))
    assert not within("azurex", ("azure",))
