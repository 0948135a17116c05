"""A service's process: how it starts, how it is known to be ready, how it ends.

A service is a plain dictionary, because it is written down (`fleet.py`) and read by fault tests in other processes:
name, kind, command, cwd, user, log, data, ports, stop_signal, pid, started. `started` tells a process from a later one
with the same pid: nothing else is ever signalled. It leads a session of its own, so that Ctrl-C does not reach it first.
"""

import os
import random
import signal
import socket
import subprocess
import threading
import time

# A JVM beside a compiler on two cores; a healthy one needs 3 to 10 seconds.
READY_WITHIN = 90.0
# What a service may take to end by itself. Its data is thrown away, so being killed costs it nothing.
STOPPED_WITHIN = 8.0

# Set when everything is to end: whoever waits for a service stops waiting.
cancelled = threading.Event()


class ServiceFailed(Exception):
    """A service did not start; says which, why, and what it said last."""


def free_ports(count):
    """Ports below those the kernel hands out by itself: a killed broker finds its port still free when it returns."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first_handed_out = int(file.read().split()[0])
    held = []
    try:
        for port in random.sample(range(10_000, max(first_handed_out, 20_000)), 1_000):
            holder = socket.socket()
            held.append(holder)
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                held.pop().close()
            if len(held) == count:
                return [holder.getsockname()[1] for holder in held]
    finally:
        for holder in held:
            holder.close()
    raise ServiceFailed(f"no {count} free ports on 127.0.0.1")


def spawn(service):
    """Starts the service's command and notes its pid."""
    if cancelled.is_set():
        raise ServiceFailed(f"{service['name']}: not started, everything is to end")
    with open(service["log"], "ab") as log:
        process = subprocess.Popen(
            service["command"],
            cwd=service["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **as_user(service["user"]),
        )
    service["pid"] = process.pid
    service["started"] = start_time(process.pid)


def as_user(user):
    """Arguments that make a child run as `user`; `None` is whoever we are."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def wait_until(service, is_ready):
    """Asks until the service answers; a process that is gone is not waited for."""
    deadline = time.monotonic() + READY_WITHIN
    while not answers(is_ready, service):
        if not is_alive(service):
            raise ServiceFailed(f"{service['name']} ended while it started\n{tail(service['log'])}")
        if cancelled.is_set() or time.monotonic() > deadline:
            raise ServiceFailed(f"{service['name']} is not ready after {READY_WITHIN:.0f} s\n{tail(service['log'])}")
        time.sleep(0.05)


def answers(is_ready, service):
    try:
        return is_ready(service)
    except OSError:
        return False


def tail(path, lines=30):
    with open(path, errors="replace") as file:
        last = file.readlines()[-lines:]
    return "".join(f"    {line}" for line in last) or "    (it said nothing)\n"


def start_time(pid):
    """Clock ticks since boot at which the process began; `None` when there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(service):
    return service["started"] is not None and start_time(service["pid"]) == service["started"]


def ask_to_end(service):
    """Signals the process that was started, if it is still that one; it tells its children itself."""
    if is_alive(service):
        signal_if_there(service["pid"], service["stop_signal"])


def send_to_family(service, number):
    """Signals the process and its children, for PostgreSQL's have groups of their own; answers whom."""
    if not is_alive(service):
        return []
    # Frozen, it has no further children.
    signal_if_there(service["pid"], signal.SIGSTOP)
    with open(f"/proc/{service['pid']}/task/{service['pid']}/children") as file:
        family = [service["pid"], *map(int, file.read().split())]
    for pid in family:
        signal_if_there(pid, number)
    return family


def signal_if_there(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill(service):
    """Ends it at once, children included; answers when all are gone, so that nothing of it holds its data or ports."""
    family = send_to_family(service, signal.SIGKILL)
    deadline = time.monotonic() + STOPPED_WITHIN
    while any(start_time(pid) is not None for pid in family) and time.monotonic() < deadline:
        time.sleep(0.01)


def stop_all(services):
    """Asks all of them to end, at once, then kills those that did not."""
    for service in services:
        ask_to_end(service)
        send_to_family(service, signal.SIGCONT)  # a frozen process does not hear that it should end
    deadline = time.monotonic() + STOPPED_WITHIN
    while any(is_alive(service) for service in services) and time.monotonic() < deadline:
        time.sleep(0.02)
    for service in services:
        kill(service)
        try:
            os.waitpid(service["pid"], os.WNOHANG)
        except ChildProcessError:
            pass  # another process started it
