"""An SR of the installed package that is left attached, with the state file where the package's configuration has it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from stack import Stack  # noqa: E402

os.makedirs(os.environ["VNVME_ROOT"] + "/var/lib/vnvme", exist_ok=True)
with Stack(config={"state_path": "/var/lib/vnvme/state.db", "state_copy_path": ""}) as s:
    s.make_sr()
print("an SR is attached", file=sys.stderr)
