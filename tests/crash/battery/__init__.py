"""The battery: real services, real processes, and what befalls them.

    cluster.py     three brokers behind a proxy, and PostgreSQL              (started through tests/services)
    proxy.py       the TCP proxy, a process of its own: cut, one-way cut, delay, a held EndTxn
    publisher.py   what upstream systems send, from one seed
    provider.py    the simulated provider, with its ledger of calls
    instances.py   processes of the product, by name; their lives
    readers.py     Java's clients: follow along, dump, publish
    database.py    the rows of the product's ledger
    faults.py      one class a fault: what it does, how it heals, how one knows that it happened
    schedule.py    which fault when, from one seed
    world.py       all of it together, from start to verdict
    rebalances.py  join, leave, kill, freeze under load, each by itself and measured
    scenarios.py   what befalls a broken build, and the unbroken one: one thing each, at the moment when it shows
    sabotage.py    every broken build, what it goes through, and the invariant that catches it
    verdict.py     what there is to say about a run, and the file of proofs
    runs.py        whole runs
"""

import pathlib
import sys

# `services` stands beside this folder, not in it.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
