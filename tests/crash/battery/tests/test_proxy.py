"""The proxy does to connections what it says, and delivers a held request after the next begin."""

from __future__ import annotations

import socket
import struct
import threading
import time
import unittest
from collections.abc import Callable

from battery.network import Network
from battery.proxy import ADD_OFFSETS_TO_TXN, ADD_PARTITIONS_TO_TXN, END_TXN, TORN_FOR, api_key, transactional_id

FETCH = 1
# More than anything takes on a busy machine.
PATIENCE = 30.0


def frame(key: int, of: str = "") -> bytes:
    """A request as librdkafka writes it: header version 1, then the transactional id."""
    client, name = b"gk-1", of.encode()
    body = struct.pack(">hhih", key, 1, 7, len(client)) + client + struct.pack(">h", len(name)) + name + b"\x01"
    return struct.pack(">i", len(body)) + body


class Broker:
    """Notes every request, and answers with its own bytes."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []
        self._connections: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        try:
            while len(size := stream.read(4)) == 4:
                request = size + stream.read(struct.unpack(">i", size)[0])
                self.seen.append((api_key(request), transactional_id(request)))
                connection.sendall(request)
        except OSError:
            pass

    def keys(self) -> list[int]:
        return [key for key, _ in self.seen]

    def close(self) -> None:
        for one in (self._socket, *self._connections):
            one.close()


class Proxy(unittest.TestCase):
    def setUp(self) -> None:
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.network = Network([("one", self.port, self.broker.port)])
        self.addCleanup(self.network.stop)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def order(self, do: str, seconds: float, **more: object) -> int:
        """Answers once the proxy has heard it."""
        before = self.network.order(do, seconds, **more)
        self.assertTrue(self.network.wait(lambda it: it["happening"] == do, before, PATIENCE))
        return before

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def ask(self, connection: socket.socket, request: bytes) -> bytes:
        connection.sendall(request)
        return connection.recv(len(request))

    def test_what_is_asked_is_answered(self) -> None:
        self.assertEqual(self.ask(self.connect(), frame(FETCH)), frame(FETCH))

    def test_a_held_end_arrives_after_the_next_begin_though_its_client_is_gone(self) -> None:
        first, second = self.connect(), self.connect()
        before = self.order("hold", 60)
        first.sendall(frame(END_TXN, "gk-1"))
        self.assertTrue(self.network.wait(lambda it: it["happening"] == "held", before, PATIENCE))
        first.close()
        self.ask(second, frame(ADD_PARTITIONS_TO_TXN, "gk-2"))
        self.ask(second, frame(FETCH))
        self.assertNotIn(END_TXN, self.broker.keys(), "another producer's begin")
        self.ask(second, frame(ADD_PARTITIONS_TO_TXN, "gk-1"))
        self.assertTrue(self.network.wait(lambda it: it["happening"] == "delivered", before, PATIENCE))
        self.until(lambda: END_TXN in self.broker.keys())
        self.assertEqual(self.broker.keys(), [ADD_PARTITIONS_TO_TXN, FETCH, ADD_PARTITIONS_TO_TXN, END_TXN])

    def test_a_torn_transaction_gets_the_late_end_before_its_offsets_and_after_the_client_was_hung_up_on(self) -> None:
        first, second = self.connect(), self.connect()
        self.order("tear", 60)
        first.sendall(frame(END_TXN, "gk-1"))
        try:
            self.assertEqual(first.recv(1), b"")
        except ConnectionResetError:
            pass
        self.ask(second, frame(END_TXN, "gk-1"))
        asked_at = time.monotonic()
        second.sendall(frame(ADD_OFFSETS_TO_TXN, "gk-1"))
        # Behind it on the same connection, and before it at the broker.
        self.ask(second, frame(ADD_PARTITIONS_TO_TXN, "gk-1"))
        self.assertEqual(second.recv(100), frame(ADD_OFFSETS_TO_TXN, "gk-1"))
        self.assertGreaterEqual(time.monotonic() - asked_at, 2 * TORN_FOR)
        self.assertEqual(self.broker.keys(), [END_TXN, ADD_PARTITIONS_TO_TXN, END_TXN, ADD_OFFSETS_TO_TXN])

    def test_parked_offsets_arrive_later_and_only_those_of_their_producer(self) -> None:
        first, second = self.connect(), self.connect()
        before = self.order("park", 2, id="gk-1")
        begun = time.monotonic()
        first.sendall(frame(ADD_OFFSETS_TO_TXN, "gk-1"))
        self.assertTrue(self.network.wait(lambda it: it["happening"] == "parked", before, PATIENCE))
        self.ask(second, frame(ADD_OFFSETS_TO_TXN, "gk-2"))
        self.assertEqual(self.broker.seen, [(ADD_OFFSETS_TO_TXN, "gk-2")])
        self.assertEqual(first.recv(100), frame(ADD_OFFSETS_TO_TXN, "gk-1"))
        self.assertGreaterEqual(time.monotonic() - begun, 1.9)
        self.ask(first, frame(ADD_OFFSETS_TO_TXN, "gk-1"))

    def test_a_swallowed_end_arrives_and_only_its_connection_is_silent(self) -> None:
        first, second = self.connect(), self.connect()
        self.order("swallow", 2)
        begun = time.monotonic()
        first.sendall(frame(END_TXN, "gk-1"))
        self.until(lambda: self.broker.keys() == [END_TXN])
        self.ask(second, frame(END_TXN, "gk-2"))
        self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual(first.recv(100), frame(END_TXN, "gk-1"))
        self.assertGreaterEqual(time.monotonic() - begun, 1.9)

    def test_an_end_is_let_go_when_nothing_begins(self) -> None:
        before = self.order("hold", 2)
        self.assertEqual(self.ask(self.connect(), frame(END_TXN, "gk-1")), frame(END_TXN, "gk-1"))
        self.assertTrue(self.network.wait(lambda it: it["happening"] == "let go", before, PATIENCE))

    def test_a_cut_breaks_connections_and_refuses_new_ones_until_it_is_over(self) -> None:
        connection = self.connect()
        self.ask(connection, frame(FETCH))
        before = self.order("cut", 0.5, name="one")
        self.assertEqual(self.network.happened[before]["connections"], 1)
        with self.assertRaises(OSError):
            connection.sendall(frame(FETCH))
            if not connection.recv(1):
                raise ConnectionResetError
        time.sleep(0.6)
        self.assertEqual(self.ask(self.connect(), frame(FETCH)), frame(FETCH))

    def test_a_broker_that_nobody_is_connected_to_is_not_used(self) -> None:
        self.assertFalse(self.network.is_used("one", 0.2))
        self.ask(self.connect(), frame(FETCH))
        self.assertTrue(self.network.is_used("one", PATIENCE))

    def test_a_one_way_cut_delivers_afterwards(self) -> None:
        connection = self.connect()
        self.ask(connection, frame(FETCH))
        before = self.order("mute", 2, name="one", way="out")
        silent_until = self.network.happened[before]["at"] / 1_000 + 2
        connection.sendall(frame(FETCH))
        self.until(lambda: len(self.broker.seen) == 2)
        self.assertEqual(connection.recv(100), frame(FETCH))
        self.assertGreater(time.time(), silent_until - 0.1)


if __name__ == "__main__":
    unittest.main()
