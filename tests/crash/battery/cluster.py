"""Three brokers, each with a second listener that is reached through the proxy only, and PostgreSQL.

The product connects to the proxy's ports, which is what the second listener advertises; the checker's clients connect to the
brokers themselves, so that a cut of the product's connections never blinds the checker.
"""

from __future__ import annotations

import base64
import os
import pathlib
import shutil
import tempfile
import time
from typing import Any

from services import faults, fleet, kafka, packages, postgres, process

BROKERS = ("kafka3-1", "kafka3-2", "kafka3-3")
POSTGRES = "postgres"
HEAP_MB = 384
# A broker that came back leads its partitions again soon, not minutes later: without work nobody is connected to it, and
# whatever befalls it befalls nobody.
PROPERTIES = {"leader.imbalance.check.interval.seconds": 3, "leader.imbalance.per.broker.percentage": 0}


class Cluster:
    """Services that run until `stop`. `more`: properties of every broker besides those it needs."""

    def __init__(self, more: dict[str, object]) -> None:
        kafka.prepare()
        postgres.prepare()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gatekeeper-crash-"))
        self.folder.chmod(0o755)  # PostgreSQL's user must reach its own folder in here
        self.state = self.folder / "services.json"
        fleet.write(self.state, [])
        try:
            self.proxied = self._start_brokers(more)
            self.database = postgres.start(self.folder, self._adopt)
        except BaseException:
            self.stop()
            raise

    def _adopt(self, service: dict[str, Any]) -> None:
        fleet.write(self.state, [*fleet.read(self.state), service])

    def _start_brokers(self, more: dict[str, object]) -> list[tuple[str, int, int]]:
        """Answers name, the proxy's port and the port behind it, of each broker."""
        ports = process.free_ports(4 * len(BROKERS))
        nodes = [{"id": at + 1, "listener": ports[4 * at], "controller": ports[4 * at + 1]} for at in range(3)]
        proxied = [(name, ports[4 * at + 2], ports[4 * at + 3]) for at, name in enumerate(BROKERS)]
        self.direct = ",".join(f"127.0.0.1:{node['listener']}" for node in nodes)
        # An id that began with `-` would be read as a flag.
        identity = "k" + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")[1:]
        services = []
        for (name, front, behind), node in zip(proxied, nodes):
            service = kafka.broker(self.folder / name, name, node, nodes, HEAP_MB)
            _add_listener(self.folder / name / "server.properties", front, behind, more)
            services.append(service)
        formats = [kafka.format_storage(service, identity) for service in services]
        if any(formatting.wait() != 0 for formatting in formats):
            raise process.ServiceFailed("a broker's storage was not formatted")
        for service in services:
            process.spawn(service)
            self._adopt(service)
        everyone = {node["id"] for node in nodes}
        for service in services:
            process.wait_until(service, lambda one: kafka.known_nodes(one) == everyone)
        return proxied

    def bootstrap(self) -> str:
        """Where the product finds the cluster: the proxy."""
        return ",".join(f"127.0.0.1:{front}" for _, front, _ in self.proxied)

    def kill(self, name: str) -> None:
        """`kill -9`; its data stays."""
        faults.kill(str(self.state), name)

    def freeze(self, name: str) -> None:
        faults.freeze(str(self.state), name)

    def thaw(self, name: str) -> None:
        faults.thaw(str(self.state), name)

    def restart(self, name: str) -> None:
        """On its own data and ports; answers when it is ready."""
        faults.restart(str(self.state), name)

    def terminate(self, name: str) -> None:
        """Asks it to end, and waits: a broker hands its partitions over first."""
        with faults.one(str(self.state), name) as service:
            process.ask_to_end(service)
            deadline = time.monotonic() + process.STOPPED_WITHIN
            while process.is_alive(service) and time.monotonic() < deadline:
                time.sleep(0.02)
            process.kill(service)

    def stop(self) -> None:
        fleet.stop(str(self.state))
        shutil.rmtree(self.folder, ignore_errors=True)


def _add_listener(settings: pathlib.Path, front: int, behind: int, more: dict[str, object]) -> None:
    """The last word on a key wins, so what is there is taken and extended."""
    lines = settings.read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    said["listeners"] += f",PROXIED://127.0.0.1:{behind}"
    said["advertised.listeners"] += f",PROXIED://127.0.0.1:{front}"
    said["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
    settings.write_text("".join(f"{key}={value}\n" for key, value in {**said, **PROPERTIES, **more}.items()))


def libraries() -> pathlib.Path:
    """The folder with Kafka's jars, for the readers."""
    return pathlib.Path(packages.kafka_libraries())
