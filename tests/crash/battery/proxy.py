"""A TCP proxy in front of each broker, as a process of its own: the product's network, and what befalls it.

    python3 -m battery.proxy        first line of standard input: [[name, port, port behind it], ..]; then commands, one a
                                    line; it ends with its input. Every happening is a line on standard output.

    {"do": "count", "name": .., "seconds": 0}           only says how many connections there are
    {"do": "cut", "name": .., "seconds": ..}            connections break, new ones are refused
    {"do": "mute", "name": .., "seconds": .., "way": "in"|"out"}
                                                        one direction is silent; what was sent meanwhile arrives afterwards
    {"do": "delay", "name": .., "seconds": .., "ms": ..}   every piece arrives later
    {"do": "hold", "seconds": ..}                       the next EndTxn request waits until the same transactional id has
                                                        begun its next transaction (an AddPartitionsToTxn is answered), and
                                                        arrives then
    {"do": "tear", "seconds": ..}                       the next EndTxn request is held and its client hung up on, which asks
                                                        again; it arrives in the middle of the client's next transaction,
                                                        whose records are written and whose offsets wait meanwhile
    {"do": "park", "id": .., "seconds": ..}             this transactional id's next AddOffsetsToTxn request waits for so long:
                                                        its records are written, its offsets are on their way
    {"do": "swallow", "seconds": ..}                    the next EndTxn request arrives, and nothing comes back on its
                                                        connection for so long

A held request is the one that ends a *later* transaction where a producer is used again: its connection to the broker stays
open when its client gives up, and everything behind it on the same connection waits with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import Coroutine
from typing import Any

END_TXN = 26
ADD_PARTITIONS_TO_TXN = 24
ADD_OFFSETS_TO_TXN = 25
# How long a torn transaction stands without its offsets, before and after the late end: seen by a reader that looks twice a
# second.
TORN_FOR = 2.0
# A piece of a response.
CHUNK = 1 << 16


def say(happening: str, **more: object) -> None:
    print(json.dumps({"happening": happening, "at": int(time.time() * 1_000), **more}), flush=True)


class Front:
    """One broker's front door."""

    def __init__(self, network: Network, name: str, behind: int) -> None:
        self.network, self.name, self.behind = network, name, behind
        self.refused_until = 0.0
        self.silent_until = {"in": 0.0, "out": 0.0}
        self.delayed_until = self.delay = 0.0
        self.open: set[asyncio.StreamWriter] = set()
        self.aside: set[asyncio.Task[None]] = set()

    async def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        answers = Answers()
        if time.monotonic() < self.refused_until:
            to_client.transport.abort()
            return
        try:
            broker, to_broker = await asyncio.open_connection("127.0.0.1", self.behind)
        except OSError:
            to_client.transport.abort()
            return
        ends = (to_client, to_broker)
        self.open.update(ends)
        back = asyncio.create_task(self._responses(broker, to_client, answers))
        try:
            await self._requests(client, to_client, to_broker, answers)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            back.cancel()
            for end in ends:
                end.transport.abort()
            self.open.difference_update(ends)

    async def _requests(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter, to_broker: asyncio.StreamWriter,
                        answers: Answers) -> None:
        while True:
            size = await client.readexactly(4)
            frame = size + await client.readexactly(struct.unpack(">i", size)[0])
            await self._weather("in")
            self.network.swallow(frame, self.name, answers)
            if (waiting := self.network.put_aside(frame)) is not None:
                # What stands behind it on the connection goes on: its client's records above all.
                self.aside.add(asyncio.create_task(self._later(waiting, frame, to_broker)))
                continue
            was_held = await self.network.pass_or_hold(frame, self.name, to_client)
            if self.network.begins(frame):
                answers.tells_of_begin = self.network.held
            to_broker.write(frame)
            await to_broker.drain()
            if was_held:
                # Its client may be long gone; the broker shall read it before it hears of that.
                await asyncio.sleep(1)

    async def _later(self, waiting: Coroutine[Any, Any, None], frame: bytes, to_broker: asyncio.StreamWriter) -> None:
        await waiting
        to_broker.write(frame)

    async def _responses(self, broker: asyncio.StreamReader, to_client: asyncio.StreamWriter, answers: Answers) -> None:
        try:
            while piece := await broker.read(CHUNK):
                if answers.tells_of_begin is not None:
                    self.network.has_begun(answers.tells_of_begin)
                    answers.tells_of_begin = None
                await self._weather("out")
                await answers.silence()
                to_client.write(piece)
                await to_client.drain()
        except OSError:
            pass
        # The broker hung up: the client shall hear of it.
        to_client.transport.abort()

    async def _weather(self, way: str) -> None:
        while (left := self.silent_until[way] - time.monotonic()) > 0:
            await asyncio.sleep(left)
        if time.monotonic() < self.delayed_until:
            await asyncio.sleep(self.delay)

    def cut(self, seconds: float) -> None:
        self.refused_until = time.monotonic() + seconds
        say("cut", name=self.name, connections=len(self.open) // 2)
        for end in list(self.open):
            end.transport.abort()


class Answers:
    """What is known of one connection's answers."""

    def __init__(self) -> None:
        self.silent_until = 0.0
        # The next one says that this transactional id has begun its next transaction.
        self.tells_of_begin: str | None = None

    async def silence(self) -> None:
        while (left := self.silent_until - time.monotonic()) > 0:
            await asyncio.sleep(left)


class Network:
    """All front doors, and the one request that may be held."""

    def __init__(self) -> None:
        self.fronts: dict[str, Front] = {}
        self.hold_until = self.swallow_until = 0.0
        self.swallow_for = 0.0
        self.tears = False
        self.parked, self.park_for = "", 0.0
        self.held: str | None = None
        self.begun = asyncio.Event()

    async def pass_or_hold(self, frame: bytes, name: str, to_client: asyncio.StreamWriter) -> bool:
        """Answers whether the request was held."""
        if api_key(frame) != END_TXN or time.monotonic() >= self.hold_until or self.held is not None:
            return False
        self.held = transactional_id(frame)
        self.begun.clear()
        left = self.hold_until - time.monotonic()
        self.hold_until = 0.0
        if self.tears:
            to_client.transport.abort()
        say("held", name=name, id=self.held)
        try:
            await asyncio.wait_for(self.begun.wait(), left)
            say("delivered", name=name, id=self.held)
        except TimeoutError:
            say("let go", name=name, id=self.held)
        finally:
            self.held = None
        return True

    def begins(self, frame: bytes) -> bool:
        """Whether this asks for the next transaction of the held one's producer, which is what that waits for."""
        is_next = self.held is not None and api_key(frame) == ADD_PARTITIONS_TO_TXN and transactional_id(frame) == self.held
        return is_next and not self.tears

    def has_begun(self, name: str) -> None:
        """A late answer for one that was let go says nothing of another that is held now."""
        if name == self.held:
            self.begun.set()

    def put_aside(self, frame: bytes) -> Coroutine[Any, Any, None] | None:
        """What this request waits for, if it does."""
        if api_key(frame) != ADD_OFFSETS_TO_TXN:
            return None
        if transactional_id(frame) == self.parked:
            say("parked", id=self.parked)
            self.parked = ""
            return asyncio.sleep(self.park_for)
        return self._keep_apart() if self.tears and transactional_id(frame) == self.held else None

    async def _keep_apart(self) -> None:
        """The held end arrives while the next transaction's offsets wait, behind its records and long before its own end."""
        await asyncio.sleep(TORN_FOR)
        self.begun.set()
        await asyncio.sleep(TORN_FOR)

    def swallow(self, frame: bytes, name: str, answers: Answers) -> None:
        """From the next end on its connection says nothing."""
        if api_key(frame) == END_TXN and time.monotonic() < self.swallow_until:
            answers.silent_until, self.swallow_until = time.monotonic() + self.swallow_for, 0.0
            say("swallowed", name=name, id=transactional_id(frame))

    def obey(self, order: dict[str, Any]) -> None:
        until = time.monotonic() + order["seconds"]
        match order["do"]:
            case "hold" | "tear" as do:
                self.hold_until, self.tears = until, do == "tear"
                return say(do)
            case "swallow":
                self.swallow_until, self.swallow_for = until, order["seconds"]
                return say("swallow")
            case "park":
                self.parked, self.park_for = order["id"], order["seconds"]
                return say("park")
        front = self.fronts[order["name"]]
        match order["do"]:
            case "count":
                say("count", name=front.name, connections=len(front.open) // 2)
            case "cut":
                front.cut(order["seconds"])
            case "mute":
                front.silent_until[order["way"]] = until
                say("mute", name=front.name, connections=len(front.open) // 2)
            case "delay":
                front.delayed_until, front.delay = until, order["ms"] / 1_000
                say("delay", name=front.name, connections=len(front.open) // 2)


def api_key(frame: bytes) -> int:
    return struct.unpack_from(">h", frame, 4)[0]


def transactional_id(frame: bytes) -> str:
    """The first field behind the header (version 1) of the requests that are looked at; the product's client speaks their
    old, inflexible versions."""
    client = struct.unpack_from(">h", frame, 12)[0]
    at = 14 + max(client, 0)
    length = struct.unpack_from(">h", frame, at)[0]
    return frame[at + 2:at + 2 + length].decode()


async def main() -> None:
    loop, network = asyncio.get_running_loop(), Network()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    for name, port, behind in json.loads(await orders.readline()):
        network.fronts[name] = front = Front(network, name, behind)
        await asyncio.start_server(front.accept, "127.0.0.1", port, limit=1 << 20)
    say("ready")
    while line := await orders.readline():
        network.obey(json.loads(line))
    # Connections end with the process, in the middle of whatever they do.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
