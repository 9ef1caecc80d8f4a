"""docker-compose.yml for real: built, brought up, made to heal a container of its engine, and taken down."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from selfheal_project import processes
from tests.testbed import base_images, faults
from tests.testbed.containers import Containers
from tests.testbed.engine import docker_engine
from tests.testbed.paths import PROJECT, ServiceMissingError, needed, new_folder
from tests.testbed.process import free_port
from tests.testbed.wait import until

# The first test pays for the base images (minutes where nothing is cached yet) and for the start.
pytestmark = pytest.mark.timeout(900)

SERVICES = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
ENGINE_SERVICES = {"worker", "worker-checks", "watcher", "sweeper"}
MEMORY_WANTED = 6_000_000  # kB
MUST_BE_SET = re.findall(r"^(\w+)=$", (PROJECT / ".env.example").read_text(), re.MULTILINE)


class ComposeStack:
    """The stack on one engine, by docker-compose; `values` is its .env, written by the command in the documentation."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.client = docker.APIClient(base_url=host, version="auto", timeout=300)
        self.port, self.flower_port = free_port(), free_port()
        self.values = write_env_file(folder, host.removeprefix("unix://"))
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": host,
            "DOCKER_SOCKET": host.removeprefix("unix://"),
            "COMPOSE_DOCKER_CLI_BUILD": "0",  # its own builder: the command docker need not be there
            "COMPOSE_PROJECT_NAME": "selfheal",
            "PORT": str(self.port),
            "SELFHEAL_FLOWER_PORT": str(self.flower_port),
        }

    def compose(self, *arguments: str, timeout: float = 120) -> str:
        """What `docker-compose ARGUMENTS` prints; AssertionError with it when it fails."""
        done = run_compose(self.folder, self.environ, *arguments, timeout=timeout)
        assert done.returncode == 0, f"docker-compose {' '.join(arguments)}:\n{done.stdout[-6000:]}"
        return done.stdout

    def up(self) -> None:
        """Build and start everything; returns when `web` is healthy."""
        try:
            self.compose("up", "-d", "--build", timeout=400)
            until(
                lambda: self.inspect("web")["State"]["Health"]["Status"] == "healthy",
                90,
                "web is healthy",
                0.3,
            )
        except AssertionError as error:
            logs = run_compose(self.folder, self.environ, "logs", "--no-color", "--tail=25").stdout
            raise AssertionError(f"{error}\n{logs[-12000:]}") from None

    def inspect(self, service: str) -> dict[str, Any]:
        labels = [f"com.docker.compose.service={service}", "com.docker.compose.oneoff=False"]
        found = self.client.containers(all=True, filters={"label": labels})
        return dict(self.client.inspect_container(found[0]["Id"]))

    def exec(self, service: str, *command: str) -> str:
        """Run a command in a service; its output without what it logs."""
        identity = self.client.exec_create(self.inspect(service)["Id"], list(command))["Id"]
        output, errors = self.client.exec_start(identity, demux=True)
        status = self.client.exec_inspect(identity)["ExitCode"]
        assert status == 0, f"{command} in {service} ended with {status}: {output!r} {errors!r}"
        return (output or b"").decode()

    def count(self, table: str, condition: str) -> int:
        """Rows of the stack's own database."""
        sql = f"SELECT count(*) FROM {table} WHERE {condition}"
        return int(self.exec("postgres", "psql", "-U", "selfheal", "-tAc", sql))

    def get(self, port: int, path: str, user: str = "") -> tuple[int, str]:
        """Status and body of a page; `user` is name:password."""
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
        if user:
            request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, ""


def run_compose(
    folder: Path, environ: dict[str, str], *arguments: str, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """docker-compose on the repository's file with the .env in `folder`."""
    command = [needed("docker-compose", "docker-compose"), "--env-file", str(folder / ".env"), *arguments]
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def write_env_file(folder: Path, socket: str) -> dict[str, str]:
    """Run the documented command that writes .env; what it wrote."""
    shutil.copy(PROJECT / ".env.example", folder)
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "docs/deployment.md").read_text(), re.DOTALL)
    command = next(block for block in blocks if "> .env" in block)
    environ = {"PATH": os.environ["PATH"], "DOCKER_SOCKET": socket}
    subprocess.run(["sh", "-euc", command], cwd=folder, env=environ, check=True)
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@contextlib.contextmanager
def kept_in_memory(folder: Path) -> Iterator[None]:
    """Mount memory at `folder` where there is plenty: layers are many small files, and a disk doubles the test's time."""
    available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    plenty = available is not None and int(available[1]) > MEMORY_WANTED
    command = ["mount", "-t", "tmpfs", "-o", "size=3g,mode=0711", "tmpfs", str(folder)]
    mounted = plenty and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    """The whole stack, up and healthy, on an engine of its own."""
    with contextlib.ExitStack() as cleanup:
        folder = new_folder("compose")
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            needed("docker-compose", "docker-compose")
            data = folder / "data"
            data.mkdir()
            cleanup.enter_context(kept_in_memory(data))
            engine = cleanup.enter_context(docker_engine("compose", "--data-root", str(data)))
            made = ComposeStack(engine.host, folder)
            cleanup.callback(made.client.close)
            base_images.ensure_base_images(made.client)
        except ServiceMissingError as error:
            pytest.skip(str(error))
        made.up()
        yield made
        made.compose("down", "--volumes", "--timeout", "5")


def test_a_container_of_its_engine_is_healed_and_recorded(stack: ComposeStack) -> None:
    """Brought up from nothing, the stack finds a labelled container, restarts it when it fails and records it."""
    containers = Containers(stack.host)
    container, name = containers.run_web(labels={"selfheal.enable": "true"}), containers.name("web")
    until(lambda: stack.count("healing_container", f"name = '{name}'"), 30, f"{name} is known", 0.2)
    before = containers.started_at(container)
    containers.exec(container, faults.BREAK_HEALTH)
    until(lambda: containers.started_at(container) != before, 60, f"{name} is restarted", 0.1)
    resolved = f"resolved_at IS NOT NULL AND container_id IN (SELECT id FROM healing_container WHERE name = '{name}')"
    until(
        lambda: stack.count("healing_failurerecord", resolved), 60, f"the failure of {name} is resolved", 0.2
    )
    containers.wait_health(container, "healthy", timeout=30)
    records = json.loads(stack.exec("web", "python", "manage.py", "failure_history", name, "--json"))
    found = next(record for record in records if record["failure_type"] == "health_check_failed")
    assert (found["action"], found["action_result"]) == ("restart", "success")
    assert [attempt["state"] for attempt in found["attempts"]] == ["succeeded"]
    containers.remove_all()


def test_flower_is_behind_its_password(stack: ComposeStack) -> None:
    """Flower answers nobody without the password, and shows all three workers with it."""

    def workers(user: str) -> tuple[int, str]:
        return stack.get(stack.flower_port, "/workers?json=1", user)

    password = stack.values["SELFHEAL_FLOWER_PASSWORD"]
    until(lambda: workers("")[0] == 401, 30, "Flower refuses without a password", 0.3)
    assert workers("selfheal:wrong")[0] == 401
    assert workers(f"selfheal:{password}")[0] == 200
    for kind in ("heal", "checks", "other"):
        until(
            lambda kind=kind: f'"{kind}@' in workers(f"selfheal:{password}")[1],
            30,
            f"Flower shows {kind}",
            0.5,
        )


def test_the_admin_is_served_with_its_styles_and_the_given_password(stack: ComposeStack) -> None:
    """Static files are in the image, and the user admin has the password of .env."""
    status, page = stack.get(stack.port, "/admin/login/")
    assert status == 200
    style = re.search(r'href="(/static/[^"]+\.css)"', page)
    assert style
    assert stack.get(stack.port, style[1])[0] == 200
    check = "from django.contrib.auth import authenticate; import sys; sys.exit(not authenticate(None, username='admin', password=sys.argv[1]))"
    django = f"import django; django.setup(); {check}"
    stack.exec(
        "web",
        "env",
        "DJANGO_SETTINGS_MODULE=selfheal_project.settings",
        "python",
        "-c",
        django,
        stack.values["SELFHEAL_ADMIN_PASSWORD"],
    )


def test_only_who_needs_it_has_the_engines_socket(stack: ComposeStack) -> None:
    """The socket is mounted into the workers, the watcher and the sweeper alone; nobody is root; stores publish no port."""
    for service in SERVICES:
        about = stack.inspect(service)
        sockets = [mount for mount in about["Mounts"] if mount["Destination"] == "/var/run/docker.sock"]
        assert bool(sockets) == (service in ENGINE_SERVICES), service
        published = any((about["NetworkSettings"]["Ports"] or {}).values())
        assert published == (service in {"web", "flower"}), service
        if service not in {"postgres", "redis"}:
            assert about["Config"]["User"] == "10001:10001", service


def test_starting_again_changes_nothing(stack: ComposeStack) -> None:
    """A second `up` runs migrate again, keeps what is there, and leaves the running services alone."""
    before = stack.inspect("worker")["State"]["StartedAt"]
    stack.compose("up", "-d")
    assert stack.inspect("worker")["State"]["StartedAt"] == before
    assert stack.inspect("migrate")["State"]["ExitCode"] == 0
    assert stack.count("healing_host", "name = 'local'") == 1


@pytest.mark.parametrize("variable", MUST_BE_SET)
def test_a_missing_setting_is_refused_by_name(variable: str, tmp_path: Path) -> None:
    """Compose starts nothing without a secret or the socket's group, and says which one to set."""
    lines = [f"{name}=x\n" for name in MUST_BE_SET if name != variable]
    (tmp_path / ".env").write_text("".join(lines))
    done = run_compose(tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, "config", "--quiet")
    assert done.returncode != 0
    assert variable in done.stdout
    assert "set it in .env" in done.stdout


def test_every_setting_is_in_the_example_and_in_the_documentation() -> None:
    """docker-compose.yml reads no variable that .env.example and docs/deployment.md do not name, and none is stale."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (PROJECT / "docker-compose.yml").read_text()))
    assert set(re.findall(r"^#?([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)) == used
    table = (PROJECT / "docs/deployment.md").read_text().partition("## Settings")[2]
    assert used <= set(re.findall(r"`([A-Z_]+)`", table))


def test_the_commands_are_those_of_make_up() -> None:
    """Queues, pools and threads of the services are the ones that `make up` starts with a broker outside."""
    programs = {
        program.name: list(program.argv) for program in processes.programs("127.0.0.1", 8000, 5555, "x")
    }
    renamed = {"worker": "worker-heal", "watcher": "watch", "sweeper": "sweep"}
    for service in ("worker", "worker-checks", "worker-other", "beat", "watcher", "sweeper"):
        expected = programs[renamed.get(service, service)]
        start = expected.index("manage.py" if service in ("watcher", "sweeper") else "-A")
        command = shlex.split(SERVICES[service]["command"])
        assert command[1:] == expected[start:], service
