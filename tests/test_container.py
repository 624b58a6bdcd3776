"""The container without a container: the same files, copied as Dockerfile does, and started by the same commands.

By somebody who may not write there, as with a read-only file system; compose.yaml is held to what it starts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_docs import ROOT, code, env_calls, rows, section, text_of

PORT = 8000
# Variables of other programs that compose.yaml may set.
FOREIGN = {"SITE", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}


# --- What the files say ----------------------------------------------------------------------------------------------
def instructions() -> list[tuple[str, str]]:
    """Dockerfile's instructions and what stands behind them."""
    lines = re.sub(r"\\\n", " ", text_of(ROOT / "Dockerfile")).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")]


def last(word: str) -> str:
    """What the last instruction of this name says: that of the image which is run."""
    return [rest for name, rest in instructions() if name == word][-1]


def compose() -> dict[str, Any]:
    return yaml.safe_load(text_of(ROOT / "compose.yaml"))


def ours() -> dict[str, dict[str, Any]]:
    """The services that run kvadmin's image."""
    return {name: service for name, service in compose()["services"].items() if service.get("image") == "kvadmin"}


def command_of(service: str) -> list[str]:
    """What this service runs."""
    found = ours()[service].get("command")
    return list(found) if found else list(json.loads(last("CMD")))


def probe_of(service: str) -> list[str]:
    """The command that says whether this service is well."""
    test = ours()[service].get("healthcheck", {}).get("test")
    return list(test[1:]) if test else list(json.loads(last("HEALTHCHECK").partition("CMD ")[2]))


def copied() -> list[str]:
    """What Dockerfile copies out of this folder."""
    found = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    return [name for names in found for name in names]


def test_the_image_is_run_by_a_number_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last("USER"))


def test_what_is_installed_is_what_the_hashes_name() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]

    assert installs == ["pip install --require-hashes --only-binary :all: -r requirements.txt"]


def test_what_is_copied_exists_and_is_let_through() -> None:
    allowed = re.findall(r"^!(.+)$", text_of(ROOT / ".dockerignore"), re.MULTILINE)

    assert [name for name in copied() if not (ROOT / name).exists()] == []
    assert sorted(copied()) == sorted(allowed)
    assert text_of(ROOT / ".dockerignore").splitlines()[1] == "*"


def test_one_port_is_named_everywhere() -> None:
    named = {
        "EXPOSE": last("EXPOSE"),
        "CMD": last("CMD").rpartition(":")[2].rstrip('"]'),
        "HEALTHCHECK": re.findall(r"127\.0\.0\.1:(\d+)/healthz", last("HEALTHCHECK"))[0],
        "Caddyfile": re.findall(r"port (\d+)", text_of(ROOT / "docs/Caddyfile"))[0],
    }

    assert set(named.values()) == {str(PORT)}, named


def test_two_web_servers_and_two_workers_share_postgresql_and_redis() -> None:
    services = ours()

    assert sorted(services) == ["migrate", "web", "worker"]
    assert {name: services[name]["deploy"]["replicas"] for name in ("web", "worker")} == {"web": 2, "worker": 2}
    for service in services.values():
        assert service["environment"]["DATABASE_URL"].startswith("postgres://")
        assert service["environment"]["CACHE_URL"].startswith("redis://")


def test_nothing_of_ours_may_write_or_rise() -> None:
    for service in ours().values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_web_and_worker_wait_for_the_migrations() -> None:
    for name in ("web", "worker"):
        assert ours()[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_only_the_proxy_can_be_reached_and_it_is_trusted_once() -> None:
    reachable = [name for name, service in compose()["services"].items() if "ports" in service]

    assert reachable == ["proxy"]
    assert ours()["web"]["environment"]["KVADMIN_TRUSTED_PROXIES"] == "1"
    assert ours()["web"]["environment"]["KVADMIN_BEHIND_PROXY"] == "true"


def test_every_variable_that_is_set_is_one_that_is_known() -> None:
    used = {name for service in compose()["services"].values() for name in service.get("environment", {})}
    used |= set(re.findall(r"\$\{(\w+)", text_of(ROOT / "compose.yaml")))
    used |= set(re.findall(r"\b((?:KVADMIN|DATABASE|CACHE|AZURE)_\w+)=", last("ENV")))
    told = text_of(ROOT / "docs/operations.md") + text_of(ROOT / "compose.yaml").partition("x-kvadmin")[0]

    assert used - FOREIGN - set(env_calls()) == set()
    assert [name for name in ("SITE", "POSTGRES_PASSWORD") if f"{name}=" not in told] == []


def test_there_is_time_to_stop() -> None:
    """What is longer than what: a proxy's patience with an idle connection, gunicorn's with requests, the engine's."""
    conf = dict(re.findall(r"^(\w+) = (\d+)$", text_of(ROOT / "gunicorn.conf.py"), re.MULTILINE))
    kept = re.findall(r"keepalive (\d+)s", text_of(ROOT / "docs/Caddyfile"))[0]

    assert int(kept) < int(conf["keepalive"])
    assert int(conf["graceful_timeout"]) < int(ours()["web"]["stop_grace_period"].rstrip("s"))


def test_the_documentation_starts_what_the_image_starts() -> None:
    table = rows(section(ROOT / "docs/operations.md", "What runs"))
    told = {code(cells[0]): code(cells[1]) for cells in table}

    assert shlex.split(told["web"]) == [word for word in command_of("web") if word not in {"--bind", f"0.0.0.0:{PORT}"}]
    assert shlex.split(told["worker"]) == command_of("worker")


# --- The same commands, run ------------------------------------------------------------------------------------------
# Root without any right of root, as `cap_drop: [ALL]` makes it: even root may then not write where nobody may.
HAS_SETPRIV = os.geteuid() == 0 and shutil.which("setpriv") is not None
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if HAS_SETPRIV else []


@dataclass
class Image:
    """The folder that Dockerfile makes, which nobody may write to."""

    place: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def listing(self) -> list[str]:
        return sorted(str(path) for path in (self.place / "app").rglob("*"))

    def has_beat(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.place / "data/kvadmin.sqlite3")) as database:
            return bool(database.execute("SELECT count(*) FROM jobs_workerbeat").fetchone()[0])

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """The command, running in the image's folder, with nothing of our own environment."""
        bin_folder = str(Path(sys.executable).parent)
        env = {
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": f"sqlite:///{self.place}/data/kvadmin.sqlite3",
            "KVADMIN_SECRET_KEY": "tests-only-" + "0123456789abcdef" * 3,
            "KVADMIN_CREDENTIAL": "azure-cli",  # it is not there, so Azure is never called
            "KVADMIN_ALLOWED_HOSTS": "kvadmin.example.com,localhost",
            "KVADMIN_BEHIND_PROXY": "true",
            "KVADMIN_TRUSTED_PROXIES": "1",
        }
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([*POWERLESS, *command], cwd=self.place / "app", env=env, **pipes)
        self.started.append(process)
        return process

    def run(self, command: list[str]) -> tuple[int, str]:
        process = self.start(command)
        said = process.communicate()
        return process.returncode, "".join(said)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built as Dockerfile says, but for what pip installs: that is here already."""
    place = tmp_path_factory.mktemp("image")
    (place / "app").mkdir()
    for name in copied():
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / "app" / name)
    (build,) = (rest for word, rest in instructions() if word == "RUN" and "collectstatic" in rest)
    made = Image(place)
    collected = made.run(shlex.split(build.partition(" && ")[0]))
    (place / "data").mkdir()
    subprocess.run(["chmod", "-R", "a-w", place / "app"], check=True)
    migrated = made.run(command_of("migrate"))
    assert (collected[0], migrated[0]) == (0, 0), (collected, migrated)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.terminate()
            process.communicate()
    subprocess.run(["chmod", "-R", "u+w", place / "app"], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def here(command: list[str], port: int) -> list[str]:
    """The command, at a port of this machine that is free."""
    found = [word.replace(f"0.0.0.0:{PORT}", f"127.0.0.1:{port}") for word in command]
    return [word.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}") for word in found]


def get(port: int, path: str, **headers: str) -> Any:
    """What the proxy would get."""
    proxied = {"Host": "kvadmin.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7", **headers}
    return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=proxied), timeout=60)


@pytest.fixture
def web(image: Image) -> tuple[subprocess.Popen[str], int]:
    """A web server of its own for each test, for one of them stops it; the image ends what still runs."""
    port = free_port()
    process = image.start(here(command_of("web"), port))
    while not is_well(port):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process, port


def is_well(port: int) -> bool:
    try:
        return bool(get(port, "/healthz").status == 200)
    except OSError:
        return False


@pytest.mark.enable_socket
def test_the_web_server_answers_the_proxy_and_probes(image: Image, web: tuple[subprocess.Popen[str], int]) -> None:
    _, port = web

    assert get(port, "/sign-in/").status == 200
    assert image.run(here(probe_of("web"), port)) == (0, "")
    assert get(port, "/readyz", Host="10.0.0.9:8000").read() == b"ok\n"


@pytest.mark.enable_socket
def test_static_files_come_by_a_name_that_may_be_kept_for_ever(web: tuple[subprocess.Popen[str], int]) -> None:
    _, port = web
    page = get(port, "/sign-in/").read().decode()
    (style,) = re.findall(r'href="(/static/kvadmin\.[0-9a-f]{12}\.css)"', page)

    answer = get(port, style, **{"Accept-Encoding": "br"})

    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
    assert answer.headers["Content-Encoding"] == "br"
    assert "Access-Control-Allow-Origin" not in answer.headers  # kept for ever, but by nobody else's pages


@pytest.mark.enable_socket
@pytest.mark.parametrize(("size", "kept"), [(300, "keep-alive"), (300_000, "close")])
def test_where_a_body_may_stay_unread_the_answer_says_that_the_connection_ends(
    web: tuple[subprocess.Popen[str], int], size: int, kept: str
) -> None:
    """gunicorn ends it; a proxy that was not told sends the next request, perhaps somebody else's, into it."""
    headers = {"Host": "kvadmin.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", web[1])) as connection:
        connection.request("POST", "/sign-in/", b"x" * size, headers)
        answer = connection.getresponse()

        assert answer.headers["Connection"] == kept
        assert answer.status == (413 if size > 300 else 403)


@pytest.mark.enable_socket
def test_a_worker_lives_and_stops_when_it_is_asked_to(image: Image) -> None:
    process = image.start(command_of("worker"))
    while not image.has_beat():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    lives = image.run(probe_of("worker"))

    process.terminate()
    _, log = process.communicate()

    assert (lives[0], process.returncode) == (0, 0), log
    assert [line for line in log.splitlines() if "event" not in json.loads(line)] == []
    assert "stops after the job at hand" in log
    assert not image.has_beat()  # it has signed off


@pytest.mark.enable_socket
def test_the_web_server_stops_when_it_is_asked_to_and_all_that_it_said_is_json(
    web: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = web
    get(port, "/sign-in/?next=/vaults/pay-prod/")

    process.terminate()
    _, log = process.communicate()

    lines = [json.loads(line) for line in log.splitlines()]
    asked = [line for line in lines if line.get("route") == "sign-in"]
    assert process.returncode == 0
    assert {(line["status"], line["method"]) for line in asked} == {(200, "GET")}
    assert "pay-prod" not in log


def test_where_it_lies_nothing_can_be_written(image: Image) -> None:
    before = image.listing()

    code, said = image.run(["python", "-c", "open('here', 'w')"])

    assert (code, "Permission denied" in said) == (1, True), said
    assert image.listing() == before
    assert (image.place / "data/kvadmin.sqlite3").exists()
