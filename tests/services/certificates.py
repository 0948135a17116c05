"""Certificates for one test run, made by `openssl`: an authority, a server and a client of it, and a foreign authority.

Everything is PEM, which Kafka, OpenSSL and rustls read alike. Keys are PKCS#8; one copy of the client's is encrypted.
"""

import subprocess

from .process import ServiceFailed

# What the server is called. 127.0.0.2 is deliberately not among them: it answers there too, under a wrong name.
NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"
KEY_PASSWORD = "client-key-password-1f"


def make(folder):
    """Everything, into this new folder."""
    folder.mkdir()
    authority(folder, "ca", "Test authority")
    authority(folder, "foreign-ca", "Foreign authority")
    signed(folder, "server", "ca", "/CN=localhost", NAMES)
    signed(folder, "client", "ca", "/CN=gatekeeper-mtls", "extendedKeyUsage=clientAuth")
    signed(folder, "foreign-client", "foreign-ca", "/CN=gatekeeper-mtls", "extendedKeyUsage=clientAuth")
    encrypted = ["-aes256", "-passout", f"pass:{KEY_PASSWORD}", "-out", folder / "client-encrypted.key"]
    openssl("pkey", "-in", folder / "client.key", *encrypted)
    # As Kafka wants its own: the key, then the certificate, in one file.
    both = (folder / "server.key").read_text() + (folder / "server.pem").read_text()
    (folder / "server-store.pem").write_text(both)


def authority(folder, name, common_name):
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
    openssl("req", "-x509", *new_key(), *files, "-days", "2", "-subj", f"/CN={common_name}", *extensions)


def signed(folder, name, by, subject, extension):
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    openssl("req", *new_key(), "-keyout", folder / f"{name}.key", "-out", request, "-subj", subject)
    extensions.write_text(f"basicConstraints=CA:FALSE\n{extension}\n")
    signer = ["-CA", folder / f"{by}.pem", "-CAkey", folder / f"{by}.key", "-CAcreateserial"]
    openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-extfile", extensions, "-out", folder / f"{name}.pem")


def new_key():
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments, stdin=None):
    """What the command wrote."""
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True)
    if done.returncode != 0:
        raise ServiceFailed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode()}")
    return done.stdout
