"""What can befall one running service: it dies, it freezes, it comes back. For fault tests, also as the command `fault`.

Every function takes the path of the state file (GATEKEEPER_TEST_SERVICES) and a name from it: `kafka`, `kafka3-1` to
`kafka3-3`, `kafka-secure`, `tokens`, `postgres`, `registry`.
"""

import contextlib
import pathlib
import signal

from . import fleet, process


def kill(state, name):
    """`kill -9`: answers when the process is gone. Its data stays."""
    with one(state, name) as service:
        process.kill(service)


def freeze(state, name):
    """Stops it in the middle of whatever it does; its connections stay open and silent."""
    with one(state, name) as service:
        process.send_to_family(service, signal.SIGSTOP)


def thaw(state, name):
    """Lets it go on."""
    with one(state, name) as service:
        process.send_to_family(service, signal.SIGCONT)


def restart(state, name):
    """Starts it again on its own data and ports, killed first if it still runs; answers when it is ready."""
    with one(state, name) as service:
        process.kill(service)
        if "lock_file" in service:
            pathlib.Path(service["lock_file"]).unlink(missing_ok=True)
        process.spawn(service)
    process.wait_until(service, fleet.IS_READY[service["kind"]])


@contextlib.contextmanager
def one(state, name):
    """The service of that name, changed by one process at a time."""
    with fleet.changing(state) as services:
        for service in services:
            if service["name"] == name:
                yield service
                return
        names = ", ".join(service["name"] for service in services)
        raise process.ServiceFailed(f"no service {name!r} here, only: {names}")
