"""Everything that XAPI was recorded to send (tests/data/broker/full.calls.jsonl), line by line, through our scripts.

    replay.py                                  against a daemon in memory (run as a test)
    replay.py --socket PATH --configuration dpu=unix:/a --configuration drives=x ...
                                               against a running vnvmed; --type vnvme-raw for the other type

The recorded SR, keys and URIs are replaced by ours as our answers bring them. For each method that we have the answer
must have the right shape, or be a complete error where the recorded plugin failed too, or where `--may-fail METHOD`
allows it (a daemon without a running VM refuses Datapath.attach for domain 7); for a method that we have not, the
script must be missing, and the program must answer Unimplemented when it is run under that name all the same.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from support import PLUGIN, SCRIPTS, broker, data, frames
import memory_sr

RECORDED_SR = "11111111-2222-3333-4444-555555555555"


class Replay:
    def __init__(self, scripts, socket, configuration, sr_type, may_fail):
        self.broker = broker.Broker(scripts, sr_type, env=dict(os.environ, VNVME_SMAPI_SOCKET=socket))
        self.configuration, self.may_fail = configuration, set(may_fail)
        self.sr = None
        self.attached = dict(configuration)
        self.keys, self.uris, self.problems = {}, {}, []
        self.counts = {"result": 0, "error": 0, "missing": 0}

    def substitute(self, method, arguments):
        out = {}
        for name, value in arguments.items():
            if name == "configuration":
                out[name] = self.configuration if method in ("SR.probe", "SR.create") else self.attached
            elif name == "sr" and self.sr is not None:
                out[name] = self.sr
            elif name == "uri":
                out[name] = self.uris.get(value.split("//h/")[-1].split("?")[0], value)
            elif isinstance(value, str) and value in self.keys:
                out[name] = self.keys[value]
            else:
                out[name] = value
        return out

    def learn(self, method, recorded, ours):
        if method == "SR.create":
            self.attached = ours
        elif method == "SR.attach":
            self.sr = ours
        elif isinstance(recorded, dict) and "key" in recorded and "virtual_size" in recorded:
            self.keys[recorded["key"]] = ours["key"]
            self.uris[recorded["key"]] = ours["uri"][0]
            if ours["virtual_size"] < recorded["virtual_size"] and method == "Volume.create":
                self.problems.append(f"{method}: smaller than asked: {ours}")

    def absent(self, method, stdin):
        """No script; and the program itself knows no such method."""
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(PLUGIN, os.path.join(folder, "vnvme-plugin"))
            got = subprocess.run([os.path.join(folder, "vnvme-plugin"), f"/x/{method}", "--json"], input=stdin,
                                 capture_output=True, env=self.broker.env, check=False, timeout=60)
        try:
            self.broker.judge(method, method, got.returncode, got.stdout)
            self.problems.append(f"{method}: answered, though there is no script for it")
        except broker.BackendError as e:
            if e.params != ["Unimplemented", method]:
                self.problems.append(f"{method}: {e}")
        self.counts["missing"] += 1

    def line(self, call):
        method = os.path.basename(call["argv"][0])
        arguments = json.loads(call["stdin"])
        self.broker.dbg = arguments.pop("dbg")
        try:
            ours = self.broker.call(method, self.substitute(method, arguments))
        except broker.ScriptMissing:
            if method in broker.PARAMETERS and not self.broker.sr_type.endswith("-raw"):
                self.problems.append(f"{method}: no script")
            if method in broker.PARAMETERS:  # the other type has it, so the program knows it
                self.counts["missing"] += 1
                return None
            return self.absent(method, call["stdin"].encode())
        except broker.BackendError as e:
            self.counts["error"] += 1
            if call["exit"] == 0 and method not in self.may_fail:
                self.problems.append(f"{method} {arguments}: {e}")
            return None
        except broker.ScriptFailed as e:
            return self.problems.append(f"{method} {arguments}: {e}")
        self.counts["result"] += 1
        refusable = "badquery" in call["argv"][0]  # a plugin of the recording that was broken on purpose
        if call["exit"] != 0 and not refusable:
            self.problems.append(f"{method} {arguments}: answered where the recorded plugin refused: {ours}")
        elif not refusable:
            self.learn(method, json.loads(call["stdout"]), ours)
        return None

    def run(self):
        with open(data("full.calls.jsonl"), encoding="utf-8") as f:
            for line in f:
                self.line(json.loads(line))
        print(", ".join(f"{n} {k}" for k, n in self.counts.items()), f", {len(self.problems)} problems", sep="")
        for p in self.problems:
            print("  " + p)
        return 1 if self.problems or not self.counts["result"] else 0


def in_memory():
    """Both types; the counts are those of the recording, so a line that is skipped is noticed."""
    status = 0
    for sr_type, expected in (("vnvme", {"result": 105, "error": 3, "missing": 9}),
                              ("vnvme-raw", None)):
        with tempfile.TemporaryDirectory(prefix="vnvme-", dir="/tmp") as folder:
            socket = os.path.join(folder, "s")
            with frames.ScriptedDaemon(socket, memory_sr.MemorySr().serve):
                # what comes after a snapshot that this type cannot make has nothing to be about
                after = () if sr_type == "vnvme" else ("Volume.set", "Volume.stat", "Datapath.attach", "Datapath.activate_readonly")
                replay = Replay(SCRIPTS, socket, {"dpu": "unix:/x", "drives": "a"}, sr_type, after)
                status |= replay.run()
        if expected is not None and replay.counts != expected:
            print(f"{sr_type}: {replay.counts}, but the recording has {expected}")
            status = 1
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", help="of a running vnvmed")
    parser.add_argument("--scripts", default=SCRIPTS, help="the folder with volume/ and datapath/")
    parser.add_argument("--type", default="vnvme", choices=("vnvme", "vnvme-raw"))
    parser.add_argument("--configuration", action="append", default=[], metavar="KEY=VALUE", help="of SR.create")
    parser.add_argument("--may-fail", action="append", default=[], metavar="METHOD")
    options = parser.parse_args()
    if not options.socket:
        return in_memory()
    configuration = dict(pair.split("=", 1) for pair in options.configuration)
    return Replay(options.scripts, options.socket, configuration, options.type, options.may_fail).run()


if __name__ == "__main__":
    sys.exit(main())
