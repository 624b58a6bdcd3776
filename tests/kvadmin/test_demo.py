"""`manage.py demo`: it starts, says where and who, and leaves nothing behind; and each way in which it cannot start."""

from __future__ import annotations

import fcntl
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.db import connection

from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.demo import evidence, people
from kvadmin.demo.children import ChildDied, Children
from kvadmin.emulator.state import Azure
from kvadmin.sign_in import DEMO_ACCOUNTS
from tests import factories
from tests.processes import environment, manage
from vaults import policy, sync
from vaults.models import Vault

SUBSCRIPTION = "00000000-0000-4000-8000-000000000009"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- The whole of it -------------------------------------------------------------------------------------------------


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """What the process prints, up to the line that holds the word."""
    lines: list[str] = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
    pytest.fail("".join(lines))


def page(url: str) -> str:
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - http on this machine
        return str(answer.read().decode())


def children_of(process: subprocess.Popen[str]) -> list[str]:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a demo brings its own database: once is enough")
def test_the_demo_runs_and_a_signal_ends_all_of_it(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "kvadmin.sqlite3").write_text("the last one's", encoding="utf-8")
    (tmp_path / "mine.txt").write_text("not the demo's", encoding="utf-8")
    with manage("demo", "--folder", str(tmp_path), KVADMIN_PORT=str(port), KVADMIN_INGEST_FIRST_DAYS="2") as demo:
        said = read_until(demo, "Ctrl-C stops it all")
        started = children_of(demo)
        sign_in = page(f"http://127.0.0.1:{port}/sign-in/")
        demo.send_signal(signal.SIGINT)
        rest = demo.communicate()[0]

    assert f"kvadmin runs on http://127.0.0.1:{port}\n\n  reader " in said
    assert re.findall(r"demo-[a-z0-9-]+-kvadmin", said) == [account.password for account in DEMO_ACCOUNTS]
    assert [account.name for account in DEMO_ACCOUNTS if account.name not in sign_in] == []
    assert (demo.returncode, rest) == (0, "Stopped. The next start begins afresh.\n")
    assert len(started) == 3
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert (tmp_path / "mine.txt").exists()
    with pytest.raises(urllib.error.URLError):
        page(f"http://127.0.0.1:{port}/healthz")


# --- What stops it from starting -------------------------------------------------------------------------------------


def refusal(folder: Path, **variables: str) -> str:
    demo = manage("demo", "--folder", str(folder), **variables)
    said = demo.communicate()[0]
    assert demo.returncode == 1, said
    return said.strip()


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(tmp_path, KVADMIN_PORT=str(port))

    assert said == (
        f"CommandError: Port {port} cannot be used: Address already in use. "
        f"Choose another: KVADMIN_PORT={port + 10} make demo"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_no_number_is_said_in_one_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, KVADMIN_PORT="http") == (
        "kvadmin cannot start: KVADMIN_PORT: 'http' is not a whole number."
    )


def test_a_second_demo_in_the_same_folder_does_not_disturb_the_first(tmp_path: Path) -> None:
    (tmp_path / "kvadmin.sqlite3").write_text("the first one's", encoding="utf-8")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = refusal(tmp_path, KVADMIN_PORT=str(free_port()))

    assert said == "CommandError: Another demo runs in this folder: stop it first."
    assert (tmp_path / "kvadmin.sqlite3").read_text(encoding="utf-8") == "the first one's"


# --- Its processes ---------------------------------------------------------------------------------------------------

WAITS = "import time; time.sleep(3600)"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); " + WAITS


def test_when_a_process_ends_the_others_are_stopped_and_its_last_lines_are_told(tmp_path: Path) -> None:
    with pytest.raises(ChildDied) as death, Children(tmp_path, environment()) as children:
        children.start("patient one", "-c", WAITS)
        children.start("short one", "-c", "print('first'); print('last'); raise SystemExit(3)")
        children.until(lambda: False)

    assert str(death.value) == "The short one ended with exit code 3:\n  | first\n  | last"
    assert [child.process.poll() for child in children.all] == [-signal.SIGTERM, 3]


def test_a_process_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    with Children(tmp_path, environment(), grace=0.1) as children:
        children.start("deaf", "-c", IGNORES)
        children.until(lambda: "deaf" in (tmp_path / "deaf.log").read_text(encoding="utf-8"))

    assert [child.process.poll() for child in children.all] == [-signal.SIGKILL]


# --- Its people, and what they did -----------------------------------------------------------------------------------


@pytest.fixture
def staffed(db: None) -> None:
    """The vaults that roles and policies name, and everybody in place."""
    for name in ("identity-prod", "pay-prod", "platform-prod"):
        factories.secret(factories.vault(name, environment="prod"), "db-password")
    factories.secret(factories.vault("sandbox-dev", environment="dev"), "db-password")
    people.make_people()
    people.give_roles_and_set_policies()


def reveals_by(username: str) -> dict[str, str]:
    """vault -> "" where the person may see values, else why not."""
    person = people.named(username)
    return {vault.name: policy.may(person, a.SECRET_REVEAL, vault, "db-password").code for vault in Vault.objects.all()}


@pytest.mark.usefixtures("staffed")
def test_the_secrets_user_meets_every_kind_of_policy() -> None:
    assert reveals_by("secrets-user") == {
        "pay-prod": "",
        "sandbox-dev": "",
        "identity-prod": "needs-approval",
        "platform-prod": "no-role-here",
    }


@pytest.mark.usefixtures("staffed")
@pytest.mark.parametrize("name", [account.name for account in DEMO_ACCOUNTS if account.name != "secrets-user"])
def test_nobody_else_sees_a_value(name: str) -> None:
    assert set(reveals_by(name).values()) == {"no-role"}


@pytest.mark.usefixtures("staffed")
def test_every_account_opens_with_the_password_that_is_printed() -> None:
    people_found = [authenticate(username=account.name, password=account.password) for account in DEMO_ACCOUNTS]

    assert [person.get_username() if person else None for person in people_found] == [
        account.name for account in DEMO_ACCOUNTS
    ]


@pytest.mark.usefixtures("staffed")
def test_who_gave_roles_and_set_policies_is_on_record() -> None:
    rows = LedgerEntry.objects.values_list("person", "action")

    assert set(rows) == {("Adrian Stern", "role:assign"), ("Adrian Stern", "policy:edit")}
    assert len(rows) == len(people.ROLES) + len(people.POLICIES)


@pytest.mark.django_db(transaction=True)
def test_some_values_are_revealed_before_anybody_looks_and_azures_log_has_each_read(azure: Azure) -> None:
    azure.add_subscription(SUBSCRIPTION, "Everything")
    for name, kind in (("pay-prod", "prod"), ("identity-prod", "prod"), ("platform-prod", "prod"), ("dev", "dev")):
        azure.add_vault(name, subscription_id=SUBSCRIPTION, tags={"environment": kind})
        for number in range(5):
            azure.put_secret(name, f"secret-{number}", "made up")
    people.make_people()
    sync.sync_inventory()
    people.give_roles_and_set_policies()

    logged = evidence.reveal_some()

    reads = [row.vault.name for row in azure.log if row.operation == "SecretGet" and row.status == 200]
    assert len(reads) == len(evidence.REASONS)
    assert set(reads) == {"pay-prod", "dev"}
    assert logged == 0  # these vaults have no diagnostic setting: Azure's log will not show the reads
