"""Java's clients: compiled once, run as processes."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from services import packages

SOURCES = Path(__file__).resolve().parents[1] / "reader"


class Java:
    """The classes of `reader/`, for one run."""

    def __init__(self, libraries: Path) -> None:
        packages.javac()
        self._classes = tempfile.TemporaryDirectory(prefix="gatekeeper-crash-classes-")
        self._path = f"{self._classes.name}:{libraries}/*"
        sources = [str(source) for source in sorted(SOURCES.glob("*.java"))]
        subprocess.run(["javac", "-nowarn", "-d", self._classes.name, "-cp", f"{libraries}/*", *sources], check=True,
                       capture_output=True)
        # Without a configuration log4j speaks of itself on standard output.
        (Path(self._classes.name) / "log4j2.xml").write_text(
            '<Configuration status="OFF"><Appenders><Console name="err" target="SYSTEM_ERR"/></Appenders>'
            '<Loggers><Root level="ERROR"><AppenderRef ref="err"/></Root></Loggers></Configuration>')

    def start(self, program: str, arguments: list[str], log: Path, heap_mb: int = 256) -> Reader:
        command = ["java", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", self._path, program,
                   *arguments]
        return Reader(program, command, log)

    def close(self) -> None:
        self._classes.cleanup()


class Reader:
    """One of them, running. It ends well when its input ends; ended otherwise, it proves nothing."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self._log = name, log
        with open(log, "ab") as file:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                                             text=True, bufsize=1)

    def said(self, line: str) -> None:
        """Waits for it to say so."""
        assert self._process.stdout
        if self._process.stdout.readline().strip() != line:
            raise RuntimeError(f"{self.name} did not say {line!r}: see {self._log}")

    def feed(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")

    def finish(self, seconds: float) -> None:
        """Ends its input, and waits until it has done everything."""
        assert self._process.stdin
        self._process.stdin.close()
        code = self._process.wait(seconds)
        if code != 0:
            raise RuntimeError(f"{self.name} ended with {code}: see {self._log}")

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        if self.is_running():
            self._process.kill()
            self._process.wait()
