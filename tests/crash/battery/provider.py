"""The product's own simulated provider, with its ledger of calls."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path

ENDS_WITHIN = 10.0


class Provider:
    """Answers until `stop`; always well, unless told otherwise."""

    def __init__(self, binary: Path, folder: Path, seed: int, p50_ms: int, p99_ms: int) -> None:
        ready = folder / "provider.ready"
        command = [str(binary), "simulate-provider", "--calls", str(folder / "calls.jsonl"), "--ready", str(ready),
                   "--seed", str(seed), "--p50-ms", str(p50_ms), "--p99-ms", str(p99_ms)]
        with open(folder / "provider.log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not ready.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the provider does not start")
            time.sleep(0.05)
        self.address = ready.read_text().strip()

    def control(self, behaviour: dict[str, object]) -> None:
        """How it behaves from now on."""
        body = json.dumps(behaviour).encode()
        request = urllib.request.Request(f"http://{self.address}/control", body, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=5).read()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
