"""Installs what the services need and is missing: Debian packages, and Maven artifacts into a cache of their own.

The cache lies outside the target folder (`$XDG_CACHE_HOME/ai-gatekeeper`, else `~/.cache/ai-gatekeeper`), so that every
clone on a machine shares it. A folder appears there whole or not at all.
"""

import fcntl
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from .process import ServiceFailed

# Not a 3.x: its `get` insists on the registry's parent, which Maven's repository does not have.
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.8"

# Kafka logs through slf4j 1.7; `log4j-slf4j2-impl` would leave it silent.
KAFKA = {"org.apache.kafka:kafka_2.13": "4.4.0", "org.apache.logging.log4j:log4j-slf4j-impl": "2.25.3"}
# `kafka-acls.sh` and its like, with all they need.
KAFKA_TOOLS = {"org.apache.kafka:kafka-tools": "4.4.0", "org.apache.logging.log4j:log4j-slf4j-impl": "2.25.3"}
# The newest that runs on Java 17, which is what Debian 12 has.
REGISTRY = ("io.apicurio:apicurio-registry-app", "3.0.9")


# Debian 12 has the first, Debian 13 the second.
JAVA = (17, 21, 25)


def java():
    if java_version() < JAVA[0]:
        install_java("jre")
    return shutil.which("java")


def javac():
    """The compiler."""
    if not shutil.which("javac"):
        install_java("jdk")
    return shutil.which("javac")


def install_java(kind):
    names = [f"openjdk-{version}-{kind}-headless" for version in JAVA]
    apt_update()
    apt_install(next((name for name in names if is_packaged(name)), names[0]))


def is_packaged(name):
    return subprocess.run(["apt-cache", "show", name], capture_output=True).returncode == 0


def java_version():
    if not shutil.which("java"):
        return 0
    said = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    return int(version[1]) if version else 0


def postgres_binaries():
    """The folder with `initdb` and `postgres`; Debian keeps servers off the path.

    Debian's package also creates a cluster of its own, on 5432, and may start it. It is left alone: ours has its own
    port and folder, and a test run has no business changing how a machine's databases start.
    """
    if not find_postgres():
        apt_install("postgresql")
    return find_postgres()


def find_postgres():
    on_path = shutil.which("initdb")
    candidates = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[4]))
    candidates += [os.path.dirname(os.path.realpath(on_path))] if on_path else []
    whole = [path for path in candidates if all(os.access(f"{path}/{name}", os.X_OK) for name in ("initdb", "postgres"))]
    return whole[-1] if whole else None


def kafka_libraries():
    """The folder with Kafka's jars."""
    return maven_libraries("kafka", KAFKA)


def kafka_tools():
    """The folder with the jars of Kafka's command line tools."""
    return maven_libraries("kafka-tools", KAFKA_TOOLS)


def maven_libraries(title, artifacts):
    """A folder with these artifacts and everything that they need."""
    version = "-".join(artifacts.values())
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *name.split(":"), version
        )
        for name, version in artifacts.items()
    )
    pom = (
        f"<project><modelVersion>4.0.0</modelVersion><groupId>services</groupId><artifactId>{title}</artifactId>"
        f"<version>1</version><dependencies>{dependencies}</dependencies></project>"
    )

    def fetch(folder):
        with tempfile.TemporaryDirectory() as scratch:
            pathlib.Path(scratch, "pom.xml").write_text(pom)
            maven(scratch, f"{PLUGIN}:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")

    return cached(f"{title}-{version}", fetch)


def registry_home():
    """The folder with the registry, unpacked."""
    name, version = REGISTRY

    def fetch(folder):
        with tempfile.TemporaryDirectory() as scratch:
            # `get` leaves the archive in the local repository: in one of its own, so that it is found and goes again.
            artifact = [f"-Dartifact={name}:{version}:tar.gz:all", "-Dtransitive=false"]
            maven(scratch, f"{PLUGIN}:get", *artifact, f"-Dmaven.repo.local={scratch}")
            (archive,) = pathlib.Path(scratch).rglob("apicurio-registry-app-*.tar.gz")
            shutil.unpack_archive(archive, folder)

    return cached(f"registry-{version}", fetch)


def cached(name, fetch):
    """`name` in the cache, fetched if it is not there; one fetches, others wait for it."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ai-gatekeeper"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / name
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.exists():
            say(f"fetching {name}")
            unfinished = cache / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            fetch(unfinished)
            unfinished.rename(wanted)
    return wanted


def maven(cwd, *arguments):
    java()
    if not shutil.which("mvn"):
        apt_install("maven")
    run(["mvn", "--quiet", "--batch-mode", *arguments], cwd)


def apt_install(*packages):
    say(f"installing {', '.join(packages)}")
    apt_update()
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run([*as_root(), *quiet, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], "/")


def apt_update():
    run([*as_root(), "apt-get", "update", "-qq"], "/")


def as_root():
    return [] if os.getuid() == 0 else ["sudo"]


def run(command, cwd):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise ServiceFailed(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")


def say(text):
    print(f"tests/services: {text}", file=sys.stderr, flush=True)
