"""Compares what the store wants with what the DPU has, for tests over tests/support/stack.py.

    truth.agree(stack)          waits until nothing is open, then both must say the same
    truth.differences(stack)    the list of what differs now
"""
from stack import Timeout, until


def wanted_exposures(s, lvols):
    names = {row["volume"]: row["dpu_name"] for row in s.admin("volumes")}
    return {(lvols[names[a["volume"]]]["name"] if names.get(a["volume"]) in lvols else a["volume"],
             a["function"], a["nsid"]) for a in s.admin("attachments")}


def differences(s):
    found = []
    lvols = s.lvols()
    known = set()
    for row in s.admin("volumes"):
        if row["state"] != "ready":
            found.append(f"volume {row['volume']} is {row['state']}")
        if row["size"] == 0 and not row["dpu_name"]:
            continue
        known.add(row["dpu_name"])
        lvol = lvols.get(row["dpu_name"])
        if lvol is None:
            found.append(f"the store has {row['kind']} {row['volume']} as {row['dpu_name']}, the DPU has not")
            continue
        if lvol["num_blocks"] * lvol["block_size"] != row["size"]:
            found.append(f"{row['dpu_name']}: {row['size']} bytes in the store, "
                         f"{lvol['num_blocks'] * lvol['block_size']} on the DPU")
    found += [f"the DPU has {name}, the store has not" for name in sorted(set(lvols) - known)]
    dump = s.dpu("sim_dump")
    there = {(e["bdev"], e["vuid"], e["nsid"]) for e in dump["snap"]["exposures"]}
    wanted = wanted_exposures(s, lvols)
    found += [f"exposed, but attached to nobody: {e}" for e in sorted(there - wanted)]
    found += [f"attached, but not exposed: {e}" for e in sorted(wanted - there)]
    if dump["counters"]["overlapping_mutations"]:
        found.append(f"{dump['counters']['overlapping_mutations']} changes of one pool overlapped")
    status = s.admin("status")
    found += [f"{name}: {status[name]}" for name in ("intents", "queue", "trash") if status[name]]
    return found


def agree(s, seconds=60):
    """Convergence may take some rounds of the housekeeper; in the end there must be no difference at all."""
    last = []

    def same():
        last[:] = ["the daemon or the DPU does not answer"]
        try:
            last[:] = differences(s)
        except (OSError, ValueError) as e:
            last[:] = [str(e)]
        return not last
    try:
        until("store and DPU agree", same, seconds)
    except Timeout:
        raise AssertionError(f"after {seconds} s store and DPU still differ:\n  " + "\n  ".join(last)) from None
