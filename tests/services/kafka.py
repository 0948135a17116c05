"""Kafka: one broker, or three that replicate to each other; each is broker and controller in one process (KRaft).

Ready means: the broker answers a metadata request and every broker of its cluster is in the answer.
"""

import base64
import os
import pathlib
import signal
import socket
import struct
import subprocess

from . import packages, process

LOG4J = """\
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def prepare():
    packages.java()
    packages.kafka_libraries()


def start_one(folder, adopt):
    return start_cluster(folder, adopt, ["kafka"], heap_mb=512)


def start_three(folder, adopt):
    return start_cluster(folder, adopt, ["kafka3-1", "kafka3-2", "kafka3-3"], heap_mb=384)


def start_cluster(folder, adopt, names, heap_mb, more=lambda node: {}, flags=(), format_flags=()):
    """Starts a broker for each name; answers its bootstrap servers. `adopt` is told of each before it is waited for.

    `more` are properties of a node besides the usual ones, `flags` the JVM's, `format_flags` those of formatting.
    """
    count = len(names)
    ports = process.free_ports(2 * count)
    nodes = [{"id": at + 1, "listener": ports[at], "controller": ports[count + at]} for at in range(count)]
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    # An id that began with `-` would be read as a flag.
    cluster = "k" + cluster[1:]
    brokers = [broker(folder / name, name, node, nodes, heap_mb, flags, more(node)) for name, node in zip(names, nodes)]
    formats = [(each, format_storage(each, cluster, format_flags)) for each in brokers]
    for each, formatting in formats:
        if formatting.wait() != 0:
            raise process.ServiceFailed(f"{each['name']}: its storage was not formatted\n{process.tail(each['log'])}")
    for each in brokers:
        process.spawn(each)
        adopt(each)
    for each in brokers:
        process.wait_until(each, lambda each: known_nodes(each) == {node["id"] for node in nodes})
    return ",".join(f"127.0.0.1:{node['listener']}" for node in nodes)


def broker(home, name, node, nodes, heap_mb, flags=(), more=None):
    """A broker's folder, and its description as a service."""
    home.mkdir()
    settings = "".join(f"{key}={value}\n" for key, value in {**properties(home, node, nodes), **(more or {})}.items())
    (home / "server.properties").write_text(settings)
    (home / "log4j2.xml").write_text(LOG4J)
    return {
        "name": name,
        "kind": "kafka",
        "command": [*jvm(home, f"-Xmx{heap_mb}m", *flags), "kafka.Kafka", str(home / "server.properties")],
        "cwd": str(home),
        "user": None,
        "log": str(home / "log"),
        "data": str(home / "data"),
        "ports": {"listener": node["listener"], "controller": node["controller"]},
        "node": node["id"],
        "stop_signal": signal.SIGTERM,
    }


def properties(home, node, nodes):
    """What `server.properties` says."""
    copies = len(nodes)
    in_sync = min(2, copies)
    return {
        "process.roles": "broker,controller",
        "node.id": node["id"],
        "controller.quorum.voters": ",".join(f"{each['id']}@127.0.0.1:{each['controller']}" for each in nodes),
        "log.dirs": home / "data",
        **listeners(node),
        # Topics are created by whoever owns them, with the partitions they need.
        "auto.create.topics.enable": "false",
        "message.max.bytes": 4 * 1024 * 1024,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        # Few partitions, because each internal topic is created while the first test waits.
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        # The first member of a group need not wait for others.
        "group.initial.rebalance.delay.ms": 0,
    }


def listeners(node):
    """Where clients, other brokers and controllers connect, and how each is protected."""
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{node['listener']},CONTROLLER://127.0.0.1:{node['controller']}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node['listener']}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
    }


def jvm(home, *flags):
    libraries = packages.kafka_libraries()
    return [packages.java(), *flags, "-cp", f"{libraries}/*", f"-Dlog4j2.configurationFile={home}/log4j2.xml"]


def format_storage(service, cluster, flags=()):
    home = pathlib.Path(service["cwd"])
    tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(home / "server.properties"), *flags]
    with open(service["log"], "ab") as log:
        # Only the quick compiler: this JVM lives for a second.
        return subprocess.Popen(
            [*jvm(home, "-XX:TieredStopAtLevel=1"), *tool], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def is_ready(service):
    """Whether the broker is a member of its cluster; others may be down."""
    return service["node"] in known_nodes(service)


def known_nodes(service):
    """Ids of the brokers in the answer to a metadata request, version 1, without topics."""
    client = b"tests"
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    with socket.create_connection(("127.0.0.1", service["ports"]["listener"]), timeout=2) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")

        def number(form):
            data = stream.read(struct.calcsize(form))
            if len(data) < struct.calcsize(form):
                raise ConnectionError("the broker hung up")
            return struct.unpack(form, data)[0]

        def skip_text():
            stream.read(max(number(">h"), 0))  # -1 stands for none

        number(">i")  # length of the answer
        number(">i")  # correlation id
        nodes = set()
        for _ in range(number(">i")):
            nodes.add(number(">i"))
            skip_text()  # host
            number(">i")  # port
            skip_text()  # rack
        return nodes
