"""Apicurio Registry, which speaks the Confluent registry's API; what it holds is in memory only.

Unlike Confluent's, its global compatibility starts at NONE, and the same schema with other white space gets a new id.
Ready means: it lists its subjects.
"""

import http.client
import signal

from . import packages, process

API = "/apis/ccompat/v7"


def prepare():
    packages.java()
    packages.registry_home()


def start(folder, adopt):
    """Starts a registry; answers its URL."""
    home = folder / "registry"
    home.mkdir()
    (port,) = process.free_ports(1)
    (program,) = packages.registry_home().rglob("apicurio-registry-app-*-runner.jar")
    service = {
        "name": "registry",
        "kind": "registry",
        "command": [
            packages.java(),
            # It lives for minutes: starting quickly and staying small beats running fast.
            *("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            # It would listen on every address.
            *("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"),
            *("-jar", str(program)),
        ],
        "cwd": str(home),
        "user": None,
        "log": str(home / "log"),
        "data": str(home),
        "ports": {"listener": port},
        "stop_signal": signal.SIGTERM,
    }
    process.spawn(service)
    adopt(service)
    process.wait_until(service, is_ready)
    return f"http://127.0.0.1:{port}{API}"


def is_ready(service):
    connection = http.client.HTTPConnection("127.0.0.1", service["ports"]["listener"], timeout=2)
    try:
        connection.request("GET", f"{API}/subjects")
        return connection.getresponse().status == 200
    except http.client.HTTPException:
        return False
    finally:
        connection.close()
