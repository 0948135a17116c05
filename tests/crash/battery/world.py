"""One installation under test, from start to verdict."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from checker.history import Interruption, Topics

from . import database
from .cluster import Cluster, libraries
from .instances import Instance, now_ms
from .network import Network
from .provider import Provider
from .publisher import TENANTS, Events, Publisher
from .readers import Java

GROUP = "crash"
NAMES = ("gk-1", "gk-2", "gk-3", "gk-4")
# How long a supervisor takes to notice, in seconds.
SUPERVISED_EVERY = 0.5
# SIGTERM to the end of the process: its drain deadline and some.
ENDS_WITHIN = 45


@dataclass
class Options:
    """How much of everything."""

    binary: Path
    folder: Path
    seed: int
    rate: float = 40.0
    partitions: int = 8
    p50_ms: int = 400
    p99_ms: int = 2_500
    max_in_flight: int = 64
    metadata_max_chars: int = 4_096
    sabotage: str | None = None
    # What the checker's readers read on: another level is sabotage 9.
    isolation: str = "read_committed"
    ledger: str = "postgres"
    # Of each tenant.
    tickets: int = 60
    # More settings of the product, under `log.kafka`.
    kafka: dict[str, str] = field(default_factory=dict)
    tenants: tuple[str, ...] = TENANTS
    # More lines of every tenant's policy.
    tenant: str = ""
    # More properties of every broker.
    broker: dict[str, object] = field(default_factory=dict)
    # From the last healing to the last terminal.
    settle_bound_ms: int = 90_000


class World:
    """Everything that runs. `close` ends all of it, whatever happened."""

    def __init__(self, options: Options) -> None:
        self.options, self.topics = options, Topics()
        self.chance = random.Random(options.seed)
        self.interruptions: list[Interruption] = []
        self.instances: dict[str, Instance] = {}
        self.settled_after_ms: int | None = None
        self.healed_at = 0
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._over = threading.Event()
        self._stack = contextlib.ExitStack()
        options.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        folder, options = self.options.folder, self.options
        self.cluster = Cluster(options.broker)
        self._stack.callback(self.cluster.stop)
        self.network = Network(self.cluster.proxied)
        self._stack.callback(self.network.stop)
        self.java = Java(libraries())
        self._stack.callback(self.java.close)
        self.provider = Provider(options.binary, folder, options.seed, options.p50_ms, options.p99_ms)
        self._stack.callback(self.provider.stop)
        sqlite = f"sqlite:{folder.resolve()}/ledger.db"
        self.ledger_url = sqlite if options.ledger == "sqlite" else self.cluster.database
        self._write_settings()
        self.prepare("topics", "--create")
        self.prepare("migrate")
        for name in NAMES:
            self._instance(name)
        arguments = [self.cluster.direct, GROUP, self.topics.events, ",".join(self.topics.outputs()), str(folder),
                     options.isolation]
        self.follow = self.java.start("Follow", arguments, folder / "follow.log")
        self._stack.callback(self.follow.kill)
        self.follow.said("following")
        publish = self.java.start("Publish", [self.cluster.direct, self.topics.events, str(folder)],
                                  folder / "publish.log", heap_mb=128)
        self._stack.callback(publish.kill)
        self.publish_reader, self.events = publish, Events(options.seed, options.tickets)

    def _write_settings(self) -> None:
        options, folder = self.options, self.options.folder
        tenants = folder / "tenants"
        tenants.mkdir(exist_ok=True)
        for tenant in options.tenants:
            (tenants / f"{tenant}.toml").write_text(f'id = "{tenant}"\nversion = "crash"\n{options.tenant}')
        (folder / "gatekeeper.toml").write_text(f"""\
[log]
kind = "kafka"
[log.kafka]
bootstrap_servers = "{self.cluster.bootstrap()}"
group_id = "{GROUP}"
partitions = {options.partitions}
replication_factor = {len(self.cluster.proxied)}
{"".join(f'{key} = "{value}"' + chr(10) for key, value in options.kafka.items())}
[schemas]
output = "json"
[ledger]
url = "{self.ledger_url}"
[pipeline]
max_in_flight = {options.max_in_flight}
metadata_max_chars = {options.metadata_max_chars}
[models.openai]
base_url = "http://{self.provider.address}/v1"
api_key = "sk-simulated-0f6b1c"
[models.openai.timeouts]
connect = "5s"
first_byte = "10s"
total = "10s"
[triage]
chain = ["openai"]
[tenants]
directory = "{tenants.resolve()}"
[http]
enabled = false
[telemetry]
log_format = "json"
""")

    def command(self, *arguments: str, name: str = "operator") -> list[str]:
        """The product's command line, under this name."""
        return [str(self.options.binary), "--config", str(self.options.folder.resolve() / "gatekeeper.toml"),
                "--set", f"instance={name}", "--set", f"log.kafka.transactional_id={name}", *arguments]

    def prepare(self, *arguments: str) -> None:
        """One command of the product; a cluster that was just born, or a group that was just left, may not be able to yet."""
        for _ in range(5):
            done = subprocess.run(self.command(*arguments), cwd=self.options.folder, capture_output=True, text=True, timeout=120)
            if done.returncode == 0:
                break
            time.sleep(1)
        else:
            raise RuntimeError(f"gatekeeper {' '.join(arguments)}: {done.stderr[-2_000:]}")

    def _instance(self, name: str) -> None:
        environment = {"GATEKEEPER_SABOTAGE": self.options.sabotage} if self.options.sabotage else {}
        instance = Instance(name, self.command("serve", name=name), self.options.folder, environment)
        self.instances[name] = instance
        self._stack.callback(instance.kill)

    # While it runs.

    def begin(self, count: int) -> None:
        """So many instances, and work for them."""
        for name in NAMES[:count]:
            self.instances[name].start()
        threading.Thread(target=self._supervise, daemon=True).start()
        self.publisher = Publisher(self.publish_reader, self.events, self.options.rate, self.options.folder)
        self._stack.callback(self.publisher.stop)

    def _supervise(self) -> None:
        """What ends by itself is started again, as anybody's supervisor would; that it did is a violation all the same."""
        while not self._over.wait(SUPERVISED_EVERY):
            for instance in self.instances.values():
                instance.start_again_if_it_ended_itself()

    def warm_up(self) -> None:
        """Until something was committed in every partition: faults before that would befall a start. The first transactions of
        a cluster that was just born take seconds, whatever is in them."""
        deadline = time.monotonic() + 60
        with self.interruption("birth"):
            while time.monotonic() < deadline:
                committed = self.committed()
                if sum(offset > 0 for offset in committed.values()) >= self.options.partitions:
                    return
                time.sleep(0.25)
        raise RuntimeError(f"nothing is committed after a minute: see {self.options.folder}")

    def running(self) -> list[str]:
        return [name for name, instance in self.instances.items() if instance.is_running()]

    @contextlib.contextmanager
    def interruption(self, kind: str, instance: str | None = None) -> Iterator[Interruption]:
        """Notes a fault from its beginning to its healing."""
        one = Interruption(kind, now_ms(), now_ms() + 86_400_000, instance)
        with self._lock:
            self.interruptions.append(one)
        try:
            yield one
        finally:
            one.ended_at = now_ms()

    def take(self, resource: str) -> bool:
        """Nobody else's fault befalls it until it is given back."""
        with self._lock:
            if resource in self._held:
                return False
            self._held.add(resource)
            return True

    def give_back(self, resource: str) -> None:
        with self._lock:
            self._held.discard(resource)

    def configure_topic(self, topic: str, name: str, *value: str) -> None:
        """Sets a topic's setting; without a value takes it back."""
        tool = self.java.start("Configure", [self.cluster.direct, topic, name, *value], self.options.folder / "configure.log")
        self._stack.callback(tool.kill)
        tool.finish(60)

    # When it is over.

    def settle(self) -> None:
        """Nothing befalls it any more: everything that was acknowledged must get its terminal within the bound."""
        self.publisher.stop()
        self.publish_reader.finish(120)
        self.healed_at = now_ms()
        ends = self._acknowledged()
        while now_ms() - self.healed_at <= self.options.settle_bound_ms + 10_000:
            if all(self.committed().get(partition, 0) >= end for partition, end in ends.items()):
                self.settled_after_ms = now_ms() - self.healed_at
                break
            time.sleep(0.25)
        # Rows are marked published after the commit, in batches.
        time.sleep(1)
        self._over.set()
        for name in self.running():
            self.instances[name].terminate()
        for instance in self.instances.values():
            instance.leave(ENDS_WITHIN)

    def _acknowledged(self) -> dict[int, int]:
        ends: dict[int, int] = {}
        for line in (self.options.folder / "acks.jsonl").read_text().splitlines():
            ack = json.loads(line)
            ends[ack["partition"]] = max(ends.get(ack["partition"], 0), ack["offset"] + 1)
        return ends

    def wait_until_all_is_committed(self, patience: float) -> bool:
        """Nothing is sent any more, and what was is behind the group's position."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            ends, committed = self._acknowledged(), self.committed()
            if ends and all(committed.get(partition, -1) >= end for partition, end in ends.items()):
                return True
            time.sleep(0.5)
        return False

    def committed(self) -> dict[int, int]:
        """The group's position at the last sample."""
        file = self.options.folder / "samples.jsonl"
        if not file.exists():
            return {}
        with open(file, "rb") as samples:
            samples.seek(0, 2)
            samples.seek(max(samples.tell() - (1 << 17), 0))
            lines = samples.read().split(b"\n")
        for line in reversed(lines[:-1]):
            if line.startswith(b'{"at"'):
                return {partition: offset for partition, offset, _ in json.loads(line)["committed"]}
        return {}

    def collect(self) -> None:
        """Everything the checker reads."""
        folder = self.options.folder
        self.follow.finish(120)
        arguments = [self.cluster.direct, GROUP, self.topics.events, ",".join(self.topics.outputs()), str(folder),
                     self.options.isolation]
        dump = self.java.start("Dump", arguments, folder / "dump.log", heap_mb=512)
        self._stack.callback(dump.kill)
        dump.finish(300)
        database.dump(self.ledger_url, folder / "rows.jsonl")
        lives = [life for instance in self.instances.values() for life in instance.lives]
        (folder / "run.json").write_text(json.dumps({
            "topics": asdict(self.topics), "interruptions": [asdict(one) for one in self.interruptions], "lives": lives,
            "expected_transactional_ids": [*NAMES, "nobody"], "instance_of": {}, "max_in_flight": self.options.max_in_flight,
            "settled_after_ms": self.settled_after_ms, "settle_bound_ms": self.options.settle_bound_ms,
        }))

    def close(self) -> None:
        self._over.set()
        self._stack.close()
