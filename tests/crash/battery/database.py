"""The rows of the product's ledger, as `psql` gives them (or SQLite, which several instances on one machine may share)."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

from services import packages

# Times come as milliseconds; `key` and documents as text.
ROWS = """
SELECT row_to_json(it) FROM (
    SELECT encode(key, 'hex') AS key, owner_partition, owner_offset, tenant_id, event_id, answered_at, published_at,
           answer, verdict
    FROM ledger
) AS it
"""
SQLITE_ROWS = """
SELECT lower(hex(key)) AS key, owner_partition, owner_offset, tenant_id, event_id, answered_at, published_at, answer, verdict
FROM ledger
"""


def query(url: str, sql: str) -> str:
    """What it answers, unaligned, a row a line."""
    psql = shutil.which("psql") or f"{packages.postgres_binaries()}/psql"
    done = subprocess.run([psql, "--no-psqlrc", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"psql: {done.stderr.strip()}")
    return done.stdout


def dump(url: str, file: Path) -> None:
    """Every row, as JSON lines."""
    if url.startswith("sqlite:"):
        _dump_sqlite(url.removeprefix("sqlite:"), file)
    else:
        file.write_text(query(url, ROWS))


def _dump_sqlite(path: str, file: Path) -> None:
    with sqlite3.connect(path) as connection, file.open("w") as lines:
        connection.row_factory = sqlite3.Row
        for row in connection.execute(SQLITE_ROWS):
            lines.write(json.dumps(dict(row)) + "\n")
