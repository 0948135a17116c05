"""A broker that lets nobody in who does not prove who they are, and the token endpoint that one of its doors trusts.

    scram       SASL_SSL, SCRAM-SHA-512; users in USERS
    oauth       SASL_SSL, OAUTHBEARER: signed tokens of `tokens.py`, verified by Kafka's own validator
    mtls        SSL, and a client certificate of our authority is required
    wrong_name  SSL, at 127.0.0.2, which is not in the server's certificate
    plaintext   the harness's own door, for readiness and for administration; whoever comes in here may do everything

Whatever a user may do is decided by Kafka's authorizer: TRUSTED may do everything, of the others nobody may do anything
until it is granted. The address is a JSON file with all of this (GATEKEEPER_TEST_KAFKA_SECURE).
"""

import json
import pathlib
import signal
import socket
import ssl
import sys

from . import certificates, kafka, packages, process, tokens

USERS = {
    "gatekeeper": "scram-password-2b91",
    "limited-instance": "scram-password-3c17",
    "limited-operator": "scram-password-4d55",
}
TRUSTED = ["ANONYMOUS", "gatekeeper", tokens.SUBJECT, "CN=gatekeeper-mtls"]
DOORS = ["scram", "oauth", "mtls", "wrong_name"]
PROTOCOLS = {"scram": "SASL_SSL", "oauth": "SASL_SSL", "mtls": "SSL", "wrong_name": "SSL"}


def prepare():
    kafka.prepare()
    packages.kafka_tools()


def start(folder, adopt):
    """Starts the broker and its token endpoint; answers the path of the file that says where everything is."""
    home = folder / "secure"
    home.mkdir()
    secrets = home / "secrets"
    certificates.make(secrets)
    tokens.make_keys(secrets)
    endpoint = start_tokens(home, secrets, adopt)
    doors = dict(zip(DOORS, process.free_ports(len(DOORS))))
    bootstrap = kafka.start_cluster(
        folder,
        adopt,
        ["kafka-secure"],
        heap_mb=512,
        more=lambda node: protection(node, doors, secrets),
        # Kafka takes keys from nowhere that was not allowed.
        flags=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{secrets}/jwks.json"],
        format_flags=[word for user, password in USERS.items() for word in added(user, password)],
    )
    about = {
        **{door: f"{host(door)}:{port}" for door, port in doors.items()},
        "plaintext": bootstrap,
        "token_endpoint": endpoint,
        "token_secret": tokens.SECRET,
        "key_password": certificates.KEY_PASSWORD,
        "users": USERS,
        "secrets": str(secrets),
        "tools": str(packages.kafka_tools()),
    }
    file = home / "about.json"
    file.write_text(json.dumps(about, indent=2))
    return str(file)


def added(user, password):
    return ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]


def host(door):
    return "127.0.0.2" if door == "wrong_name" else "127.0.0.1"


def protection(node, doors, secrets):
    """What `server.properties` says besides: listeners, certificates, mechanisms, and who may do what."""
    plain = kafka.listeners(node)
    at = ",".join(f"{door.upper()}://{host(door)}:{port}" for door, port in doors.items())
    protocols = ",".join(f"{door.upper()}:{protocol}" for door, protocol in PROTOCOLS.items())
    security = "org.apache.kafka.common.security"
    return {
        "listeners": f"{plain['listeners']},{at}",
        "advertised.listeners": f"{plain['advertised.listeners']},{at}",
        "listener.security.protocol.map": f"{plain['listener.security.protocol.map']},{protocols}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": secrets / "server-store.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": secrets / "ca.pem",
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{security}.scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": (
            f"{security}.oauthbearer.OAuthBearerLoginModule required;"
        ),
        "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
            f"{security}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        # A connection ends with its token, unless a new one was shown by then.
        "listener.name.oauth.oauthbearer.connections.max.reauth.ms": 3_600_000,
        "sasl.oauthbearer.jwks.endpoint.url": f"file://{secrets}/jwks.json",
        "sasl.oauthbearer.expected.audience": tokens.AUDIENCE,
        "sasl.oauthbearer.expected.issuer": tokens.ISSUER,
        # Tokens of tests live for seconds.
        "sasl.oauthbearer.clock.skew.seconds": 0,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(f"User:{name}" for name in TRUSTED),
    }


def start_tokens(home, secrets, adopt):
    (port,) = process.free_ports(1)
    service = {
        "name": "tokens",
        "kind": "tokens",
        "command": [sys.executable, "-B", str(pathlib.Path(tokens.__file__)), str(secrets), str(port)],
        "cwd": str(home),
        "user": None,
        "log": str(home / "tokens.log"),
        "data": str(secrets),
        "ports": {"listener": port},
        "stop_signal": signal.SIGTERM,
    }
    process.spawn(service)
    adopt(service)
    process.wait_until(service, tokens_ready)
    return f"https://127.0.0.1:{port}/token"


def tokens_ready(service):
    trust = ssl.create_default_context(cafile=f"{service['data']}/ca.pem")
    with socket.create_connection(("127.0.0.1", service["ports"]["listener"]), timeout=2) as connection:
        with trust.wrap_socket(connection, server_hostname="127.0.0.1"):
            return True
