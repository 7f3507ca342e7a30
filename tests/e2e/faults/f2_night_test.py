"""f2_test.py with every case, not a sample."""
import os
import unittest

os.environ.update(VNVME_CASES="0", VNVME_TWICE="0")
from f2_test import F2  # noqa: E402,F401  # pylint: disable=wrong-import-position,unused-import

if __name__ == "__main__":
    unittest.main(verbosity=2)
