"""Which fault when: drawn from one seed, fired as soon as what it needs is free."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter

from .faults import WEIGHTS, Fault, Maker
from .world import World

# Between draws, in seconds; several faults are under way at a time.
PAUSE = (0.5, 4.0)


class Schedule:
    """Draws faults for a while, and counts what was planned and what happened."""

    def __init__(self, world: World, seed: int, weights: tuple[tuple[int, Maker], ...] = WEIGHTS) -> None:
        self._world, self._chance, self._weights = world, random.Random(seed), weights
        self.planned: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self.broken: list[str] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def run(self, seconds: float) -> None:
        """Returns when the last fault has healed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.broken:
            fault = self._draw()
            if fault is not None:
                self._start(fault)
            time.sleep(self._chance.uniform(*PAUSE))
        for thread in self._threads:
            thread.join()

    def _draw(self) -> Fault | None:
        """None: what it needs is taken just now."""
        parts, makers = zip(*self._weights)
        maker = self._chance.choices(makers, parts)[0]
        fault = maker(self._world, self._chance)
        if fault is None:
            return None
        taken: list[str] = []
        for need in fault.needs:
            if not self._world.take(need):
                for back in taken:
                    self._world.give_back(back)
                return None
            taken.append(need)
        return fault

    def _start(self, fault: Fault) -> None:
        self.planned[fault.kind] += 1
        thread = threading.Thread(target=self._fire, args=(fault,))
        thread.start()
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]

    def _fire(self, fault: Fault) -> None:
        try:
            if fault.fire(self._world):
                with self._lock:
                    self.fired[fault.kind] += 1
        except Exception:  # The battery itself is broken, not the product: the run proves nothing.
            self.broken.append(traceback.format_exc())
        finally:
            for need in fault.needs:
                self._world.give_back(need)
