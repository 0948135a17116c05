"""The proxy's process, as the battery holds it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Network:
    """Gives orders, and remembers what happened."""

    def __init__(self, fronts: list[tuple[str, int, int]]) -> None:
        folder = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen([sys.executable, "-m", "battery.proxy"], cwd=folder, text=True, bufsize=1,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.happened: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._send(fronts)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        if not self.wait(lambda it: it["happening"] == "ready", 0, 60):
            raise RuntimeError("the proxy does not start")

    def _send(self, order: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self.happened.append(json.loads(line))
                self._news.notify_all()

    def order(self, do: str, seconds: float, **more: object) -> int:
        """Answers how much had happened before."""
        with self._news:
            before = len(self.happened)
        self._send({"do": do, "seconds": seconds, **more})
        return before

    def wait(self, wanted: Callable[[dict[str, Any]], bool], since: int, seconds: float) -> dict[str, Any] | None:
        """The first such happening after `since` others, if it comes in time."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                found = next((it for it in self.happened[since:] if wanted(it)), None)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self._news.wait(left)

    def is_used(self, name: str, within: float) -> bool:
        """Whether anybody is connected to this broker, or soon will be."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            before = self.order("count", 0, name=name)
            counted = self.wait(lambda it: it["happening"] == "count" and it["name"] == name, before, 5)
            if counted is not None and counted["connections"] > 0:
                return True
            time.sleep(0.5)
        return False

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        assert self._process.stdout
        self._process.stdout.close()
