"""What goes wrong while a user works with XAPI: the daemon is killed, XAPI restarts, events come wrong, another tool
writes into the same key. Each trouble has its moments; `seed` makes chance repeatable.

    before(life, method), after(life, method)   around each call that the user makes
    begin(stack), end()                         around the whole
"""
import random

from fake_xapi import Drop

# The daemon's own calls that change something.
WRITES = {"VM.add_to_other_config", "VM.remove_from_other_config", "VM.add_to_blocked_operations",
          "VM.remove_from_blocked_operations", "VDI.add_to_other_config", "VDI.remove_from_other_config",
          "VBD.set_userdevice"}


class Trouble:
    name = "none"
    writes_lists = False

    def __init__(self, seed=0):
        self.random, self.s, self.hits = random.Random(seed), None, 0

    def begin(self, s):
        self.s = s

    def end(self):
        self.s.fake.tap = lambda when, method, params, answer: None
        self.s.fake.tamper = lambda token, batch: batch
        self.s.api.before_script = lambda method: None

    def before(self, life, method):
        pass

    def after(self, life, method):
        pass


class KilledBefore(Trouble):
    """kill -9 right before each call; the call meets the daemon as it comes back."""
    name = "killed before each call"

    def before(self, life, method):
        self.hits += 1
        self.s.crash()


class KilledAfter(Trouble):
    name = "killed after each call"

    def after(self, life, method):
        self.hits += 1
        self.s.crash()


class KilledInside(Trouble):
    """Once in each call, before one of the scripts that it runs, whichever."""
    name = "killed between the scripts of each call"

    def begin(self, s):
        super().begin(s)
        self.left = None
        s.api.before_script = self.script

    def before(self, life, method):
        self.left = self.random.randrange(5)

    def after(self, life, method):
        self.left = None

    def script(self, _method):
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left, self.hits = None, self.hits + 1
            self.s.crash()


class KilledAtWire(Trouble):
    """Once after each call of the user, at a message between XAPI and daemon: `chosen` says which."""

    def begin(self, s):
        super().begin(s)
        self.armed = False
        s.fake.tap = self.tap

    def before(self, life, method):
        self.armed = True

    def tap(self, when, method, params, answer):
        if not self.armed or not self.chosen(when, method, params, answer):
            return
        self.armed, self.hits = False, self.hits + 1
        self.s.crash()
        raise Drop

    def chosen(self, when, method, params, answer):
        raise NotImplementedError


class KilledAtEvents(KilledAtWire):
    name = "killed at the events of each call"

    def chosen(self, when, method, params, answer):
        return when == "after" and method == "event.from" and params[2] != "" and answer["events"]


class KilledBeforeWrite(KilledAtWire):
    name = "killed before it writes into XAPI"

    def chosen(self, when, method, params, answer):
        return when == "before" and method in WRITES


class KilledAfterWrite(KilledAtWire):
    name = "killed after it wrote into XAPI"

    def chosen(self, when, method, params, answer):
        return when == "after" and method in WRITES


class XapiRestarts(Trouble):
    name = "XAPI restarts at each call"

    def before(self, life, method):
        self.hits += 1
        self.s.xapi_restarts(booting=self.random.randrange(3))


class EventsLost(Trouble):
    """Answers that never come, EVENTS_LOST, deletions that XAPI forgot, objects whose coming or going is not told.
    A change of an object is never lost alone: event.from is a difference of the database, so it is told later."""
    name = "events lost"

    def begin(self, s):
        super().begin(s)
        s.fake.tamper = self.tamper
        s.fake.tap = self.tap

    def tamper(self, token, batch):
        kept = [e for e in batch["events"] if token == "" or e["operation"] == "mod" or self.random.random() < 0.5]
        self.hits += len(batch["events"]) - len(kept)
        return {**batch, "events": kept}

    def tap(self, when, method, params, answer):
        if method == "event.from" and when == "after" and self.random.random() < 0.2:
            self.hits += 1
            raise Drop

    def before(self, life, method):
        if self.random.random() < 0.3:
            self.s.api.db.forget_deletions()
        if self.random.random() < 0.2:
            self.s.fake.rule("event.from", ["EVENTS_LOST"])


class EventsDoubled(Trouble):
    """Each event twice, and those of the batch before once more."""
    name = "events doubled"

    def begin(self, s):
        super().begin(s)
        self.last = []
        s.fake.tamper = self.tamper

    def tamper(self, token, batch):
        again = self.last if token != "" else []
        self.last = list(batch["events"])
        self.hits += len(again) + len(self.last)
        return {**batch, "events": self.last + self.last + again}


class EventsReordered(Trouble):
    name = "events in any order"

    def begin(self, s):
        super().begin(s)
        s.fake.tamper = self.tamper

    def tamper(self, token, batch):
        events = list(batch["events"])
        self.random.shuffle(events)
        self.hits += events != batch["events"]
        return {**batch, "events": events}


class ListRewritten(Trouble):
    """Another tool writes other_config:pci of a VM before each call: takes it away, numbers it anew, says it twice, or
    names a function that another VM has."""
    name = "another tool writes the list"
    writes_lists = True

    def before(self, life, method):
        vms = [vm for vm in life.vms() if not self.s.call("VM.get_is_a_snapshot", vm)]
        if not vms:
            return
        vm = self.random.choice(vms)
        now, foreign = self.s.listed(vm), self.s.listed(life.neighbour)
        wanted = self.random.choice(([], [f"7/{bdf}" for bdf in now], [f"0/{bdf}" for bdf in now + now],
                                     [f"0/{bdf}" for bdf in now + foreign]))
        self.hits += 1
        self.s.call("VM.remove_from_other_config", vm, "pci")
        if wanted:
            self.s.call("VM.add_to_other_config", vm, "pci", ",".join(wanted))


EVERY = (KilledBefore, KilledAfter, KilledInside, KilledAtEvents, KilledBeforeWrite, KilledAfterWrite, XapiRestarts,
         EventsLost, EventsDoubled, EventsReordered, ListRewritten)


class Mixed(Trouble):
    """Before each call one of the others is drawn, or none; it lasts until the next draw."""
    name = "all of them, one at a time"

    def __init__(self, seed, rate=0.4):
        super().__init__(seed)
        self.rate, self.now, self.met = rate, Trouble(), {}

    @property
    def writes_lists(self):
        return self.now.writes_lists

    def draw(self):
        self.now.end()
        hits = self.now.hits
        self.met[self.now.name] = self.met.get(self.now.name, 0) + hits
        self.hits += hits
        kind = self.random.choice(EVERY) if self.random.random() < self.rate else Trouble
        self.now = kind(self.random.random())
        self.now.begin(self.s)

    def begin(self, s):
        super().begin(s)
        self.now.begin(s)

    def before(self, life, method):
        self.draw()
        self.now.before(life, method)

    def after(self, life, method):
        self.now.after(life, method)

    def end(self):
        self.rate = 0
        self.draw()
        super().end()
