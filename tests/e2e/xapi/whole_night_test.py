"""The whole life of life_steps.py under each trouble of xapi_trouble.py alone, and under all of them mixed."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import whole_test
import xapi_trouble

MIXED = int(os.environ.get("VNVME_SEEDS", "3"))


class Night(whole_test.Whole):
    keys = True

    def test_under_each_trouble(self):
        for kind in xapi_trouble.EVERY:
            with self.subTest(kind.name):
                trouble = kind(whole_test.SEED)
                self.lead(trouble)
                self.assertGreater(trouble.hits, 0, "a trouble that was not met proves nothing")

    def test_under_all_of_them(self):
        for seed in range(whole_test.SEED, whole_test.SEED + MIXED):
            with self.subTest(seed):
                self.lead(xapi_trouble.Mixed(seed))


# The lives of the base class have their own test.
def load_tests(_loader, _tests, _pattern):
    return unittest.TestSuite(map(Night, ("test_under_each_trouble", "test_under_all_of_them")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
