"""device-config of SR.create: what Plugin.Query says of it is what SR.create takes, and an error names the key, what
was given and what is allowed."""
import os
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import broker  # noqa: E402
from stack import Stack  # noqa: E402

GOOD = {"dpu": "dpu0", "drives": "S0001"}
# what is wrong, and the words of the error
WRONG = [({"drivs": "S0001"}, ("drivs", "drives")), ({"dpu": "dpu9"}, ("dpu9", "dpu0", "tcp:ADDRESS:PORT")),
         ({"dpu": "tcp:host:1"}, ("tcp:host:1", "numeric")), ({"drives": "S9"}, ("S9", "vnvme drives")),
         ({"provisioning": "fat"}, ("provisioning", "fat", "thin", "thick")),
         ({"wipe": "maybe"}, ("wipe", "maybe", "zero", "unmap", "none")),
         ({"drives": "S0001,S0002"}, ("raid", "raid1", "concat")),
         ({"drives": "S0001,S0002", "raid": "raid6"}, ("raid", "raid6", "raid1")),
         ({"drives": "S0001,S0001", "raid": "raid1"}, ("S0001",)),
         ({"cluster": "5000"}, ("cluster", "5000")), ({"cluster": "many"}, ("cluster", "many")),
         ({"strip_kib": "7"}, ("strip_kib", "7", "power of two")), ({"pool_uuid": "nonsense"}, ("no pool nonsense", "vnvme pools"))]


class Configuration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.addClassCleanup(cls.s.stop)
        cls.s.start_dpu()
        cls.s.start_daemon()

    def refused(self, api, configuration):
        with self.assertRaises(broker.BackendError, msg=str(configuration)) as caught:
            api.call("SR.create", {"uuid": str(uuid.uuid4()), "configuration": configuration, "name": "",
                                   "description": ""})
        return " ".join(caught.exception.params)

    def test_what_the_query_says_is_what_is_taken(self):
        for api in (self.s.volume, self.s.raw):
            said = set(api.call("Plugin.Query", {})["configuration"])
            text = self.refused(api, {**GOOD, "nonsense": "1"})
            taken = set(text.split("there are ")[1].strip().split(", "))
            self.assertEqual(taken - said - {"raid", "strip_kib"}, {"sr_uuid"}, "written by vnvme itself")
            self.assertLessEqual(said, taken)
        self.assertLessEqual({"raid", "strip_kib"}, set(self.s.volume.call("Plugin.Query", {})["configuration"]))

    def test_errors_say_what_is_wrong_and_what_is_right(self):
        for change, words in WRONG:
            text = self.refused(self.s.volume, {**GOOD, **change})
            for word in words:
                self.assertIn(word, text, str(change))
        for key in GOOD:
            self.assertIn(f"device-config:{key} is missing",
                          self.refused(self.s.volume, {k: v for k, v in GOOD.items() if k != key}))
        self.assertEqual(self.s.dpu("bdev_lvol_get_lvstores"), [], "a refusal has changed nothing")


if __name__ == "__main__":
    unittest.main(verbosity=2)
