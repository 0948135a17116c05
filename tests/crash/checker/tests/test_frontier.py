"""The decoder reads what the product writes, and refuses everything else."""

import random
import unittest

from checker import frontier
from checker.tests.encoding import bitmap, encode, gaps, runs


class Decoding(unittest.TestCase):
    def test_strings_that_the_product_wrote_are_read(self) -> None:
        for text, base in (("gk1.jXGqf9bMzJWhNAEADGdhdGVrZWVwZXItMQQAAQ", 4),
                           ("gk1.gXioltbMzJWhNAIADGdhdGVrZWVwZXItMQYAAQ", 6)):
            found = frontier.decode(text)
            self.assertEqual((found.writer, found.base, found.end, found.unfinished),
                             ("gatekeeper-1", base, base, frozenset()))

    def test_each_form_gives_back_its_offsets(self) -> None:
        chance = random.Random(1)
        for _ in range(200):
            base = chance.randrange(1 << 40)
            end = base + chance.randrange(1, 400)
            unfinished = sorted(chance.sample(range(base, end), chance.randrange(end - base)))
            for offsets in (gaps(base, unfinished), runs(base, unfinished), bitmap(base, end, unfinished)):
                found = frontier.decode(encode(base, end, unfinished, offsets=offsets))
                self.assertEqual(found.unfinished, frozenset(unfinished))
                self.assertEqual(found.finished_above_base(), [n for n in range(base, end) if n not in unfinished])

    def test_a_string_that_is_not_whole_is_refused(self) -> None:
        whole = encode(7, 20, [7, 9, 12])
        bad = ["", "gk1.", "gk2.AAAA", "NO_METADATA", whole[:-2], whole[:8] + "B" + whole[9:], "gk1.!!!!",
               "gk1." + "A" * 4_093, encode(7, 20, [], offsets=b"\x01\x64"), encode(7, 20, [], offsets=b"\x09")]
        for text in bad:
            with self.assertRaises(frontier.Malformed, msg=text):
                frontier.decode(text)

    def test_what_is_below_the_base_or_finished_above_it_is_owned(self) -> None:
        found = frontier.decode(encode(5, 9, [5, 7]))
        self.assertEqual([offset for offset in range(12) if found.owns(offset)], [0, 1, 2, 3, 4, 6, 8])


if __name__ == "__main__":
    unittest.main()
