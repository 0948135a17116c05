"""Processes of the product, by name, and the lives they lead."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

SIGKILLED = -signal.SIGKILL
# In place of an exit code.
DID_NOT_END = 124


def now_ms() -> int:
    return int(time.time() * 1_000)


class Instance:
    """One name; at most one live process at a time. Whoever ends it says so first, so that an end of its own stands out."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name, self._command, self._folder, self._environment = name, command, folder, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self.expected_end = False
        # Not while it is to die at a failpoint, which its next process would know nothing of.
        self.is_supervised = True
        self.lives: list[dict[str, object]] = []

    def start(self, failpoint: str | None = None) -> None:
        """A new process under this name. `failpoint`: label:n:kill, where it is to die."""
        with self._lock:
            assert not self.is_running(), f"{self.name} runs"
            self._note_the_end()
            environment = {**os.environ, **self._environment}
            environment.pop("GATEKEEPER_FAILPOINT", None)
            if failpoint:
                environment["GATEKEEPER_FAILPOINT"] = failpoint
            with open(self._folder / f"{self.name}.log", "ab") as log:
                self._process = subprocess.Popen(self._command, cwd=self._folder, env=environment, stdout=log, stderr=log,
                                                 stdin=subprocess.DEVNULL)
            self.expected_end = False
            self.lives.append({"instance": self.name, "started_at": now_ms(), "ended_at": None, "ended_itself": None})

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        with self._lock:
            self.expected_end = True
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGKILL)
            self.wait(10)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """It is asked to end, and does so when it likes."""
        with self._lock:
            self.expected_end = True
            self._signal(signal.SIGTERM)

    def leave(self, seconds: float) -> bool:
        """Asks it to end, unless somebody did, and waits; answers whether it did. One that does not is killed, and has ended
        wrongly."""
        if not self.is_running():
            return True
        if not self.expected_end:
            self.terminate()
        if self.wait(seconds) is not None:
            return True
        self.kill()
        self.lives[-1]["ended_itself"] = DID_NOT_END
        return False

    def wait(self, seconds: float) -> int | None:
        """Its exit code, if it ends in time."""
        if self._process is None:
            return None
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._note_the_end()
        return code

    def _note_the_end(self) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is None or self.lives[-1]["ended_at"] is not None:
                return
            code = self._process.returncode
            self.lives[-1]["ended_at"] = now_ms()
            # Whoever is asked to end does so with 0, or is ended by the signal before it listens; a kill is the battery's,
            # here or at a failpoint.
            if code != SIGKILLED and not (self.expected_end and code in (0, -signal.SIGTERM)):
                self.lives[-1]["ended_itself"] = code

    def start_again_if_it_ended_itself(self) -> None:
        """Only then: whoever killed it starts it again, or means it to be gone."""
        with self._lock:
            if self._process is None or self._process.poll() in (None, SIGKILLED) or self.expected_end:
                return
            if self.is_supervised:
                self.start()
