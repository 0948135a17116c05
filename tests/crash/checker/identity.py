"""The product's hashes, computed anew from their description."""

from __future__ import annotations

import hashlib

from .history import Identity


def dedupe_key(identity: Identity) -> str:
    """SHA-256 over record kind, tenant, source, which id it is, and the id, each preceded by its length."""
    scope = "idempotency_key" if identity.by_key else "event_id"
    hasher = hashlib.sha256()
    for part in ("event", identity.tenant, identity.source, scope, identity.id):
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()


def better_key(event: str) -> str:
    """Of the better decision after a fallback: asked for and saved under a key of its own."""
    hasher = hashlib.sha256()
    for part in ("better decision", event):
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()
