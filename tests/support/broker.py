"""xapi-storage-script as a plugin meets it, for tests without XAPI.

    broker = Broker(root)                        # root has volume/ and datapath/
    volume = broker.call("Volume.create", {"sr": sr, "name": "n", "description": "", "size": 1 << 30,
                                           "sharable": False})
Raises BackendError (the plugin's own error object), ScriptFailed (it broke the
contract: signal, bad JSON, a result of the wrong shape), ScriptMissing.
It follows the real one in what a plugin can see: argv, the bytes of stdin, both
pipes read to their end, names looked up without regard to case, strict result
types, no null for an optional field.
"""
import json
import os
import subprocess

# Parameters in the order of the IDL; the wire has them reversed, `dbg` last.
PARAMETERS = {
    "Plugin.Query": [], "Plugin.diagnostics": [],
    "SR.probe": ["configuration"], "SR.create": ["uuid", "configuration", "name", "description"],
    "SR.attach": ["configuration"], "SR.detach": ["sr"], "SR.destroy": ["sr"], "SR.stat": ["sr"], "SR.ls": ["sr"],
    "SR.set_name": ["sr", "new_name"], "SR.set_description": ["sr", "new_description"],
    "Volume.create": ["sr", "name", "description", "size", "sharable"],
    "Volume.snapshot": ["sr", "key"], "Volume.clone": ["sr", "key"], "Volume.destroy": ["sr", "key"],
    "Volume.stat": ["sr", "key"], "Volume.set_name": ["sr", "key", "new_name"],
    "Volume.set_description": ["sr", "key", "new_description"], "Volume.set": ["sr", "key", "k", "v"],
    "Volume.unset": ["sr", "key", "k"], "Volume.resize": ["sr", "key", "new_size"],
    "Volume.revert": ["sr", "snapshot", "key"],
    "Datapath.attach": ["uri", "domain"], "Datapath.activate": ["uri", "domain"],
    "Datapath.activate_readonly": ["uri", "domain"], "Datapath.deactivate": ["uri", "domain"],
    "Datapath.detach": ["uri", "domain"],
}


class BackendError(Exception):
    """exit code not 0 and a complete error object."""

    def __init__(self, code, params, backtrace):
        super().__init__(f"{code}{params}")
        self.code, self.params, self.backtrace = code, params, backtrace


class ActivatedOnAnotherHost(BackendError):
    """The one error that the broker knows by its parameters."""


class ScriptFailed(Exception):
    """The plugin broke the contract; XAPI shows SCRIPT_FAILED."""


class MarshalError(ScriptFailed):
    """exit 0, JSON, but not the shape of this method's result."""


class ScriptMissing(Exception):
    pass


# ---- the wire form of a request

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def encode(value):
    """Compact JSON as the broker's library writes it: UTF-8 raw, control characters and DEL escaped, / not."""
    if isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c)
                             for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ",".join(encode(str(k)) + ":" + encode(v) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(encode(v) for v in value) + "]"
    return json.dumps(value)


def request_bytes(method, arguments, dbg):
    known = PARAMETERS.get(method)
    names = [n for n in reversed(known) if n in arguments] if known is not None else list(arguments)
    ordered = {n: arguments[n] for n in names}
    ordered.update({n: v for n, v in arguments.items() if n not in ordered})
    ordered["dbg"] = dbg
    return encode(ordered).encode("utf-8", "surrogatepass")


# ---- the shapes of results, as strict as the broker's unmarshaller

def text(v, where):
    if not isinstance(v, str):
        raise MarshalError(f"Expected string, got '{v!r}' when unmarshalling '{where}'")


def integer(v, where):
    if isinstance(v, str) and v.lstrip("-").isdigit():
        return
    if isinstance(v, bool) or not isinstance(v, int) or not -2 ** 63 <= v < 2 ** 63:
        raise MarshalError(f"Expected int64, got '{v!r}' when unmarshalling '{where}'")


def boolean(v, where):
    if not isinstance(v, bool):
        raise MarshalError(f"Expected bool, got '{v!r}' when unmarshalling '{where}'")


def unit(v, where):
    if v is not None:
        raise MarshalError(f"Expected unit, got '{v!r}' when unmarshalling '{where}'")


def listing(of):
    def check(v, where):
        if not isinstance(v, list):
            raise MarshalError(f"Expected a list, got '{v!r}' when unmarshalling '{where}'")
        for one in v:
            of(one, where)
    return check


def mapping(v, where):
    if not isinstance(v, dict):
        raise MarshalError(f"Expected a dictionary, got '{v!r}' when unmarshalling '{where}'")
    for one in v.values():
        text(one, where)


def record(name, fields, optional=None):
    def check(v, where):
        if not isinstance(v, dict):
            raise MarshalError(f"Expected a dictionary, got '{v!r}' when unmarshalling '{name}'")
        present = {k.lower(): x for k, x in v.items()}
        for field, of in fields.items():
            if field not in present:
                raise MarshalError(f"No value found for key: '{field}' when unmarshalling '{name}'")
            of(present[field], f"{name}.{field}")
        for field, of in (optional or {}).items():
            if field in present:
                of(present[field], f"{name}.{field}")
    return check


def variant(name, cases):
    """["Name", argument]; "Name" alone for a case without one."""
    lower = {k.lower(): v for k, v in cases.items()}

    def check(v, where):
        tag, argument = (v, None) if isinstance(v, str) else (v[0], v[1]) if isinstance(v, list) and len(v) == 2 \
            and isinstance(v[0], str) else (None, None)
        if tag is None or tag.lower() not in lower:
            raise MarshalError(f"Unknown tag '{tag}' when unmarshalling '{name}'")
        of = lower[tag.lower()]
        if (of is None) != isinstance(v, str):
            raise MarshalError(f"Wrong arguments of '{tag}' when unmarshalling '{name}'")
        if of is not None:
            of(argument, where)
    return check


VOLUME = record("volume", {
    "key": text, "name": text, "description": text, "read_write": boolean, "sharable": boolean,
    "virtual_size": integer, "physical_utilisation": integer, "uri": listing(text), "keys": mapping,
}, {"uuid": text, "cbt_enabled": boolean,
    "volume_type": variant("volume_type", {"Data": None, "CBT_Metadata": None, "Data_and_CBT_Metadata": None})})
SR_STAT = record("sr_stat", {
    "sr": text, "name": text, "description": text, "free_space": integer, "total_space": integer,
    "datasources": listing(text), "clustered": boolean,
    "health": variant("health", {n: text for n in ("Healthy", "Recovering", "Unreachable", "Unavailable")}),
}, {"uuid": text})
PROBE = record("probe_result", {"configuration": mapping, "complete": boolean, "extra_info": mapping}, {"sr": SR_STAT})
QUERY = record("query_result", {
    "plugin": text, "name": text, "description": text, "vendor": text, "copyright": text, "version": text,
    "required_api_version": text, "features": listing(text), "configuration": mapping,
    "required_cluster_stack": listing(text)})
BACKEND = record("backend", {"implementations": listing(variant("implementation", {
    "XenDisk": record("xendisk", {"params": text, "extra": mapping, "backend_type": text}),
    "BlockDevice": record("blockdevice", {"path": text}), "File": record("file", {"path": text}),
    "Nbd": record("nbd", {"uri": text})}))})


def probe_list(v, where):
    listing(PROBE)(v, where)
    for one in v:  # the broker's own rules on top of the types
        has_sr, uuid = "sr" in one, "sr_uuid" in one["configuration"]
        if has_sr and not (one["complete"] and uuid):
            raise MarshalError("a probe result with `sr` must be complete and its configuration must have sr_uuid")
        if uuid and not one["complete"]:
            raise MarshalError("a probe result with sr_uuid must be complete")


RESULTS = {
    "Plugin.Query": QUERY, "Plugin.diagnostics": text, "SR.probe": probe_list, "SR.create": mapping, "SR.attach": text,
    "SR.stat": SR_STAT, "SR.ls": listing(VOLUME), "Volume.create": VOLUME, "Volume.snapshot": VOLUME,
    "Volume.clone": VOLUME, "Volume.stat": VOLUME, "Datapath.attach": BACKEND,
}


def check_result(method, value):
    RESULTS.get(method, unit)(value, method)


def check_error(value):
    """Every field, of the right type; else XAPI shows SCRIPT_FAILED instead of our text."""
    try:
        record("error", {"code": text, "params": listing(text), "backtrace": record("backtrace", {
            "error": text, "files": listing(text), "lines": listing(integer)})})(value, "error")
    except MarshalError as e:
        raise ScriptFailed(f"non-zero exit and bad json on stdout: {e}") from None


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


def parse(text_or_bytes):
    if isinstance(text_or_bytes, bytes):
        text_or_bytes = text_or_bytes.decode("utf-8")
    return json.loads(text_or_bytes, parse_constant=_no_constant)


class Broker:
    """One storage type under `root`. `tracing` runs scripts the way XAPI does while an Observer is on; `chroot` runs
    them with that folder, in which `root` is, as the root of the host."""

    def __init__(self, root, sr_type="vnvme", env=None, dbg="broker", timeout=120, tracing=False, chroot=""):
        self.root, self.sr_type, self.dbg, self.timeout, self.tracing = str(root), sr_type, dbg, timeout, tracing
        self.env = dict(os.environ if env is None else env)
        self.chroot = chroot

    def folder(self, method):
        kind = method.split(".")[0].lower()
        return os.path.join(self.root, "datapath/vnvme" if kind in ("datapath", "data")
                            else "volume/org.xen.xapi.storage." + self.sr_type)

    def script(self, method, folder=None):
        folder = folder or self.folder(method)
        try:
            names = {n.lower(): n for n in os.listdir(folder)}
        except FileNotFoundError:
            names = {}
        path = os.path.join(folder, names.get(method.lower(), method))
        if not os.path.isfile(path):
            raise ScriptMissing(path)
        if not os.access(path, os.X_OK):
            raise ScriptMissing(path + " is not executable")
        return path

    def argv(self, script):
        if self.chroot:
            return ["chroot", self.chroot, script.removeprefix(self.chroot), "--json"]
        if not self.tracing:
            return [script, "--json"]
        # what `python3 -m observer SCRIPT --json` does with the script, without its spans
        return ["/usr/bin/python3", "-c", "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])",
                script, "--json"]

    def run(self, script, stdin, **popen):
        """The bare process: (exit code, stdout, stderr). A real broker waits for ever; a test does not."""
        child = subprocess.Popen(self.argv(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.env, **popen)
        try:
            out, err = child.communicate(stdin, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise AssertionError(f"{script} hung for {self.timeout} s") from None
        return child.returncode, out, err

    def call(self, method, arguments=None, folder=None, **popen):
        script = self.script(method, folder)
        code, out, err = self.run(script, request_bytes(method, arguments or {}, self.dbg), **popen)
        return self.judge(os.path.basename(script), script, code, out, err)

    def judge(self, method, script, code, out, err=b""):
        """What the broker makes of the end of a script."""
        if code < 0:
            raise ScriptFailed(f"{script}: signalled {-code}; stderr: {err[-500:]!r}")
        try:
            value = parse(out)
        except ValueError as e:
            kind = "non-zero exit and bad json on stdout" if code else "bad json on stdout"
            raise ScriptFailed(f"{script}: {kind} (exit {code}): {out[:500]!r}: {e}") from None
        if code == 0:
            check_result(method, value)
            return value
        check_error(value)
        kind = ActivatedOnAnotherHost if len(value["params"]) == 2 and value["params"][0] == "Activated_on_another_host" \
            else BackendError
        raise kind(value["code"], value["params"], value["backtrace"])
