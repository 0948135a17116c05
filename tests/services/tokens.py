"""A token endpoint (OAuth 2.0, client credentials) whose tokens a broker accepts: RS256, signed by `openssl`.

    python3 tokens.py FOLDER PORT          serves HTTPS with FOLDER/server.pem

    POST /token                            any client id, one secret (SECRET), in a Basic header or in the body
    POST /behave/CLIENT_ID  {"..": ..}     how that client is treated from now on:
        lifetime    seconds a token lives; negative: it is over already (default 3600)
        expires_in  what the answer says about that instead of the truth
        status      answered instead of a token
        forged      true: signed by a key that the broker does not know
        location    a redirect to there
        bytes       an answer of that many bytes
    GET /asked/CLIENT_ID                   how often it asked

Behaviour belongs to a client id, so tests that run at once use one each and do not disturb each other.
"""

import base64
import collections
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.parse

SECRET = "token-client-secret-7c"
ISSUER = "https://tokens.test"
AUDIENCE = "kafka"
SUBJECT = "gatekeeper-oauth"
KEY_ID = "test-key"

behaviour = collections.defaultdict(dict)
asked = collections.Counter()
folder = pathlib.Path()


def make_keys(into):
    """The signing key, one that nobody knows, and what the broker verifies with."""
    for name in ("signing", "unknown"):
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(into / f"{name}.key"))
    said = openssl("rsa", "-in", str(into / "signing.key"), "-noout", "-modulus").decode()
    modulus = bytes.fromhex(said.strip().partition("=")[2])
    key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": encoded(modulus), "e": "AQAB"}
    (into / "jwks.json").write_text(json.dumps({"keys": [key]}))


def token(lifetime, key):
    now = time.time()
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": int(now) - 60, "exp": int(now + lifetime)}
    head = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    signature = openssl("dgst", "-sha256", "-sign", str(folder / key), stdin=text.encode())
    return f"{text}.{encoded(signature)}"


def encoded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        client = self.path.rpartition("/")[2]
        self.answer(200, {"asked": asked[client]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path.startswith("/behave/"):
            behaviour[self.path.rpartition("/")[2]] = json.loads(body)
            return self.answer(200, {})
        form = dict(urllib.parse.parse_qsl(body))
        client, secret = self.credentials(form)
        asked[client] += 1
        how = behaviour[client]
        if "location" in how:
            return self.answer(302, {}, {"Location": how["location"]})
        if "status" in how:
            return self.answer(how["status"], {"error": "server_error"})
        if secret != SECRET or form.get("grant_type") != "client_credentials":
            return self.answer(401, {"error": "invalid_client"})
        if "bytes" in how:
            return self.answer(200, {"access_token": "x" * how["bytes"]})
        lifetime = how.get("lifetime", 3600)
        made = token(lifetime, "unknown.key" if how.get("forged") else "signing.key")
        says = how.get("expires_in", max(lifetime, 0))
        self.answer(200, {"access_token": made, "token_type": "Bearer", "expires_in": says})

    def credentials(self, form):
        given = self.headers.get("Authorization", "")
        if given.startswith("Basic "):
            name, _, secret = base64.b64decode(given[6:]).decode().partition(":")
            return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)
        return form.get("client_id", ""), form.get("client_secret", "")

    def answer(self, status, document, headers=None):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


def main():
    global folder
    folder = pathlib.Path(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    # The handshake is made by the connection's own thread: one that is slow holds up nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
