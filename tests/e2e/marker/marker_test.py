"""Close at birth: the daemon against a xenstored, in the order of the nodes that the real xenopsd wrote."""
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import xenstored
from stack import Stack, until

ROOT = "/local/domain/0/backend/9pfs"
VM = "aaaaaaaa-0000-4000-8000-000000000001"
VDI = "0d6b5e7c-3f6e-4c0e-9b6f-0a4f4f3c2b1a"


def birth(domid, device, ours=True):
    """What xenopsd writes for a VBD, in its order (recorded), up to the moment when the hotplug script runs."""
    node = f"{ROOT}/{domid}/{device}"
    data = "vnvme-vdi" if ours else "other-key"
    return [(node, ""), (node + "/frontend", f"/local/domain/{domid}/device/9pfs/{device}"), (node + "/dev", "xvde"),
            (node + f"/sm-data/{data}", VDI), (node + "/removable", "1"), (node + "/mode", "w"),
            (node + "/params", "/run/vnvme/marker"), (node + "/online", "1"), (node + "/frontend-id", str(domid)),
            (node + "/type", "phy"), (node + "/sm-data/backend-kind", "9pfs"), (node + "/state", "1")]


class Marker(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="vnvme-xs-")
        folder = os.path.join(self.root, "run", "xenstored")
        os.makedirs(folder)
        self.store = xenstored.Xenstored(os.path.join(folder, "socket"))
        self.stack = Stack(config={"domains": {"kind": "xenstore", "root": self.root}})
        self.stack.start_dpu()
        self.stack.start_daemon()

    def tearDown(self):
        self.stack.stop()
        self.store.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def put(self, pairs):
        for path, value in pairs:
            self.store.put(path, value)

    def state(self, domid, device):
        return self.store.get(f"{ROOT}/{domid}/{device}/state")

    def closed(self, domid, device):
        until("the marker is closed", lambda: self.state(domid, device) == "6")

    def connect(self, domid, device):
        self.store.put(f"{ROOT}/{domid}/{device}/hotplug-status", "connected")

    def watched(self):
        """The daemon has seen everything up to now: another domain's marker, written last, is closed."""
        self.put(birth(9, 51776))
        self.connect(9, 51776)
        self.closed(9, 51776)
        self.store.remove(f"{ROOT}/9")

    def test_closed_after_the_hotplug_script_and_not_before(self):
        self.put(birth(3, 51776))
        self.watched()
        self.assertEqual(self.state(3, 51776), "1")
        self.connect(3, 51776)
        self.closed(3, 51776)

    def test_parallel_vbds_of_one_vm(self):
        nodes = list(zip(birth(4, 51776), birth(4, 51792)))
        for pair in nodes:
            self.put(pair)
        self.connect(4, 51792)
        self.connect(4, 51776)
        self.closed(4, 51776)
        self.closed(4, 51792)

    def test_what_is_not_ours_is_left_alone(self):
        self.put(birth(5, 51776, ours=False))
        self.connect(5, 51776)
        self.watched()
        self.assertEqual(self.state(5, 51776), "1")

    def test_catches_up_after_a_kill(self):
        self.stack.kill_daemon()
        self.put(birth(6, 51776) + birth(6, 51792) + birth(7, 51776))
        self.connect(6, 51776)
        self.connect(7, 51776)
        self.stack.start_daemon()
        self.closed(6, 51776)
        self.closed(7, 51776)
        self.assertEqual(self.state(6, 51792), "1")
        self.connect(6, 51792)
        self.closed(6, 51792)

    def test_answers_a_clean_unplug_that_began_while_nobody_watched(self):
        self.stack.kill_daemon()
        self.put(birth(8, 51776))
        self.connect(8, 51776)
        self.put([(f"{ROOT}/8/51776/online", "0"), (f"{ROOT}/8/51776/state", "5")])
        self.stack.start_daemon()
        self.closed(8, 51776)

    def test_a_node_that_goes_is_never_made_again(self):
        for turn in range(30):
            self.put(birth(10, 51776))
            self.connect(10, 51776)
            if turn % 2:
                self.closed(10, 51776)
            self.store.remove(f"{ROOT}/10/51776")
        self.watched()
        self.assertIsNone(self.store.get(f"{ROOT}/10/51776/state"))
        self.assertIsNone(self.store.get(f"{ROOT}/10/51776"))

    def test_a_xenstored_that_was_away(self):
        self.store.stop()
        until("the daemon has noticed", lambda: "xenstore cannot be watched" in self.stack.tail("vnvmed.log"))
        self.assertTrue(self.stack.admin("status")["ready"], "everything else goes on")
        self.store.start()
        self.put(birth(11, 51776))
        self.connect(11, 51776)
        self.closed(11, 51776)

    def test_says_what_people_must_know(self):
        self.put(birth(12, 768))
        self.connect(12, 768)
        self.closed(12, 768)
        self.put(birth(13, 51776))
        self.store.put(f"{ROOT}/13/51776/state", "2")  # as a QEMU with virtfs does
        self.connect(13, 51776)

        def told():
            texts = [e["text"] for e in self.stack.admin("events")["events"]]
            return any("userdevice 0 to 3" in t for t in texts) and any("serves the 9pfs marker" in t for t in texts)
        until("both events are there", told)
        self.assertEqual(self.state(13, 51776), "2")


    def test_a_commit_that_others_ran_into_is_tried_again(self):
        node = f"{ROOT}/14/51776"
        self.put(birth(14, 51776))
        self.store.before_commit = lambda store: store.put(node + "/state", "5")
        self.connect(14, 51776)
        self.closed(14, 51776)
        self.store.before_commit = lambda store: store.remove(f"{ROOT}/15/51776")
        self.put(birth(15, 51776))
        self.connect(15, 51776)
        until("the transaction was tried", lambda: self.store.before_commit is None)
        self.watched()
        self.assertIsNone(self.store.get(f"{ROOT}/15/51776/state"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
