"""Everything that is running for one test run: started together, written down, stopped together.

What is running stands in `services.json` in the temporary folder; its path is exported as GATEKEEPER_TEST_SERVICES, so
that fault tests find each service's pid, ports and data, and `stop` ends what another process started.
"""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

from . import kafka, kafka_secure, packages, postgres, process, registry

# What can be chosen: the variable that says where it is, what must be installed, how it starts.
CHOICES = {
    "kafka": ("GATEKEEPER_TEST_KAFKA", kafka.prepare, kafka.start_one),
    "kafka3": ("GATEKEEPER_TEST_KAFKA3", kafka.prepare, kafka.start_three),
    "kafka-secure": ("GATEKEEPER_TEST_KAFKA_SECURE", kafka_secure.prepare, kafka_secure.start),
    "postgres": ("GATEKEEPER_TEST_POSTGRES", postgres.prepare, postgres.start),
    "registry": ("GATEKEEPER_TEST_REGISTRY", registry.prepare, registry.start),
}
IS_READY = {
    "kafka": kafka.is_ready,
    "tokens": kafka_secure.tokens_ready,
    "postgres": postgres.is_ready,
    "registry": registry.is_ready,
}
STATE = "GATEKEEPER_TEST_SERVICES"


class Interrupted(Exception):
    """Somebody wants this to end."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def interruptible():
    """From here on SIGINT, SIGTERM and SIGHUP raise `Interrupted`, once: cleaning up is not interrupted."""

    def interrupt(number, _frame):
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)


def add_choices(parser):
    for name in CHOICES:
        parser.add_argument(f"--{name}", action="store_true")


def chosen(arguments):
    return [name for name in CHOICES if getattr(arguments, name.replace("-", "_"))]


def start(names):
    """Starts the chosen services; answers their environment. On any failure nothing is left behind."""
    for name in names:
        CHOICES[name][1]()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gatekeeper-services-"))
    folder.chmod(0o755)  # PostgreSQL's user must reach its own folder in here
    state = folder / "services.json"
    write(state, [])
    lock = threading.Lock()

    def adopt(service):
        with lock:
            write(state, [*read(state), service])

    def start_one(name):
        variable, _, begin = CHOICES[name]
        from_here = time.monotonic()
        address = begin(folder, adopt)
        packages.say(f"{name} is ready after {time.monotonic() - from_here:.1f} s: {address}")
        return variable, address

    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            try:
                environment = dict(pool.map(start_one, names))
            except BaseException:
                process.cancelled.set()
                raise
    except BaseException:
        stop(state)
        raise
    return {**environment, STATE: str(state)}


def stop(state):
    """Stops everything that stands in the file, and removes the folder it lies in."""
    with changing(state) as services:
        process.stop_all(services)
        left = [service["name"] for service in services if process.is_alive(service)]
    if left:
        raise process.ServiceFailed(f"still running: {', '.join(left)}; see {state}")
    shutil.rmtree(pathlib.Path(state).parent)


def read(state):
    return json.loads(pathlib.Path(state).read_text())


def write(state, services):
    """Whole or not at all: fault tests read it at any moment."""
    unfinished = pathlib.Path(f"{state}.unfinished")
    unfinished.write_text(json.dumps(services, indent=2))
    unfinished.rename(state)


@contextlib.contextmanager
def changing(state):
    """The services in the file, for one process at a time; what is changed in them is written back."""
    with open(f"{state}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        services = read(state)
        yield services
        write(state, services)


def main(command):
    """Runs a command's `main`, and turns what it answers or raises into an exit code."""
    try:
        sys.exit(command())
    except process.ServiceFailed as failure:
        packages.say(failure)
        sys.exit(69)
    except Interrupted as interrupted:
        packages.say(f"stopped by {interrupted}")
        sys.exit(128 + interrupted.number)
