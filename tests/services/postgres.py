"""PostgreSQL from Debian's package, with every durability setting on, reachable over TCP only.

The role `gatekeeper` owns the database `gatekeeper` and may create others; it is no superuser, as in production.
Ready means: the server lets that role in.
"""

import os
import pwd
import signal
import socket
import struct
import subprocess

from . import packages, process

ROLE = "gatekeeper"


def prepare():
    packages.postgres_binaries()


def start(folder, adopt):
    """Starts a server; answers its URL."""
    binaries = packages.postgres_binaries()
    home = folder / "postgres"
    home.mkdir()
    # The server refuses to run as root; Debian's package brought a user for it.
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        os.chown(home, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    (port,) = process.free_ports(1)
    service = {
        "name": "postgres",
        "kind": "postgres",
        "command": [
            f"{binaries}/postgres",
            *("-D", str(home / "data")),
            *("-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1"),
            *("-c", "unix_socket_directories="),
            *("-c", "max_connections=200"),
            *("-c", "fsync=on"),
        ],
        "cwd": str(home),
        "user": user,
        "log": str(folder / "postgres.log"),
        "data": str(home / "data"),
        # A killed server leaves it, and the next one believes it as long as nobody has collected the dead process.
        "lock_file": str(home / "data" / "postmaster.pid"),
        "ports": {"listener": port},
        # Fast: SIGTERM would wait for every client to leave.
        "stop_signal": signal.SIGINT,
    }
    create_cluster(binaries, service)
    process.spawn(service)
    adopt(service)
    process.wait_until(service, is_ready)
    return f"postgres://{ROLE}@127.0.0.1:{port}/{ROLE}"


def create_cluster(binaries, service):
    data = service["data"]
    # `-N`, `-F`: not waiting for the disk is safe here, for what a power cut breaks now is never used.
    encoding = ["-E", "UTF8", "--locale=C.UTF-8"]
    run(service, [f"{binaries}/initdb", "-D", data, "-U", "postgres", *encoding, "-A", "trust", "-N"])
    # A server for one person that ends with its input: no client is needed, and nothing listens yet.
    statements = f"CREATE ROLE {ROLE} LOGIN CREATEDB\nCREATE DATABASE {ROLE} OWNER {ROLE}\n"
    run(service, [f"{binaries}/postgres", "--single", "-F", "-D", data, "postgres"], statements)


def run(service, command, text=""):
    with open(service["log"], "ab") as log:
        done = subprocess.run(
            command, cwd=service["cwd"], input=text.encode(), stdout=log, stderr=log, **process.as_user(service["user"])
        )
    if done.returncode != 0:
        raise process.ServiceFailed(f"postgres: {command[0]} failed\n{process.tail(service['log'])}")


def is_ready(service):
    """Whether a start-up message for our role is answered with an authentication message (`R`), not an error (`E`)."""
    wishes = f"user\0{ROLE}\0database\0{ROLE}\0\0".encode()
    with socket.create_connection(("127.0.0.1", service["ports"]["listener"]), timeout=2) as connection:
        connection.sendall(struct.pack(">ii", 8 + len(wishes), 3 << 16) + wishes)
        return connection.recv(1) == b"R"
