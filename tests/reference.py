"""The README's tables that are made from the code: `python -m tests.reference` writes them anew.

tests/test_docs.py fails while they differ, so that neither an action nor a role can be added without its row.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DASH = "\u2013"


def tables() -> dict[str, str]:
    """Each table's text, by the name that its marks in the README carry."""
    return {"actions": actions(), "roles": roles()}


def actions() -> str:
    """Every action: its word, what it is, what Azure calls it on the way in and in its log, and which roles hold it."""
    from kvadmin.actions import ACTIONS
    from vaults.models.role import ROLE_ACTIONS, Role

    def row(word: str) -> list[str]:
        action = ACTIONS[word]
        holders = [Role(role).label for role, held in ROLE_ACTIONS.items() if action in held]
        names = (action.data_action.rpartition("vaults/")[2], action.operation)
        return [f"`{word}`", action.label, *(f"`{name}`" if name else DASH for name in names), ", ".join(holders)]

    return _table(("Action", "What it is", "Azure's data action", "In Azure's log", "Roles"), map(row, ACTIONS))


def roles() -> str:
    """Every role, with its actions in the vocabulary's order."""
    from kvadmin.actions import ACTIONS
    from vaults.models.role import ROLE_ACTIONS, Role

    def row(role: Role) -> list[str]:
        return [role.label, " ".join(f"`{word}`" for word in ACTIONS if ACTIONS[word] in ROLE_ACTIONS[role])]

    return _table(("Role", "May"), map(row, Role))


def _table(head: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def marked(text: str, name: str) -> str:
    """What stands between the marks of that name."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    return found[1].strip() if found else ""


def renewed(text: str) -> str:
    """The text with every marked table made anew."""
    for name, table in tables().items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    return text


def main() -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
