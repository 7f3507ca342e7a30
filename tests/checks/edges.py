"""Who may include whom. The link dependencies of CMake say it too, but a header needs no library.

Each folder below src/ lists what it may include; everything else of ours is a violation, and so are a few foreign
headers and words outside the one place that they belong to. The checker first proves on made-up trees that it sees
each kind of violation.
"""

import os
import re
import sys
import tempfile

# folder -> folders of src/ that it may include besides itself and include/vnvme
EDGES = {
    "core": [],
    "model": ["core"],
    "rpc": ["core"],
    "xapi": ["rpc", "core"],
    "dpu": ["rpc", "core"],
    "host": ["core"],
    "state": ["core"],
    "service": ["model", "core"],
    "smapi": ["core"],
    "metrics": ["core"],
    "daemon": ["service", "smapi", "state", "dpu", "xapi", "host", "rpc", "metrics", "model", "core"],
    "cli": ["core"],
    "hostplugin": ["cli", "core"],
    "frontend": [],
    "hook": [],
    "dpusim": ["core"],
}

# (folder or file prefix, pattern of an include, why): forbidden there
FORBIDDEN_INCLUDES = [
    ("include/vnvme/", r"sqlite3|spdlog|libnvme|boost/asio/(ip|local)/|sys/socket", "ports know no sockets and no libraries"),
    ("src/model/", r"boost/asio|core/log\.hpp|vnvme/time\.hpp", "the model has no coroutine, clock or log"),
    ("src/frontend/", r"boost/|nlohmann/|spdlog/|vnvme/(?!smapi_(frame|methods)\.hpp)|<thread>", "the front-end is plain POSIX"),
    ("src/hook/", r"boost/|nlohmann/|spdlog/|vnvme/(?!reservation_text\.hpp|ids\.hpp)|<thread>",
     "the hook must work when nothing else does"),
]

# (pattern of an include, prefixes where it is allowed)
HOMES = [
    (r"sqlite3\.h", ["src/state/", "tests/"]),
    (r"spdlog/", ["src/core/log.cpp"]),
    (r"libnvme\.h", ["src/dpu/nvme/"]),
    (r"xenstore\.h", ["src/host/"]),
]

# (prefix, pattern of a line, allowed files, why)
FORBIDDEN_TEXT = [
    ("src/", r"\b[Jj]son::(sax_)?parse\b", ["src/core/", "src/dpu/", "src/rpc/"],
     "JSON text is parsed in src/core/json.cpp (long lists by SAX in the client)"),
    ("src/model/", r"(?i)bdev", [], "the model does not know the DPU's words"),
    ("src/dpu/spdk/", r"\bSR\b", [], "the SPDK client does not know XAPI's words"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def sources(root):
    for top in ("include", "src"):
        for folder, subfolders, names in os.walk(os.path.join(root, top)):
            subfolders.sort()
            for name in sorted(names):
                if name.endswith((".hpp", ".cpp", ".h", ".c")):
                    path = os.path.join(folder, name)
                    yield os.path.relpath(path, root), path


def folder_of(relative):
    parts = relative.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_include(relative, quoted, target):
    folder = folder_of(relative)
    first = target.split("/")[0]
    if folder is not None and folder not in EDGES:
        yield f"folder src/{folder} is not known to this check: add its edges"
        return
    if relative.startswith("include/") and first in EDGES and quoted:
        yield f"a public header includes {target}, which is private"
    if folder is not None and first in EDGES and first != folder and first not in EDGES[folder]:
        yield f"src/{folder} must not include {target}"
    for prefix, pattern, why in FORBIDDEN_INCLUDES:
        shown = target if quoted else f"<{target}>"
        if relative.startswith(prefix) and (re.search(pattern, target) or re.search(pattern, shown)):
            yield f"includes {target}: {why}"
    for pattern, homes in HOMES:
        if re.search(pattern, target) and not any(relative.startswith(home) for home in homes):
            yield f"includes {target}, whose only place is {', '.join(homes)}"


def check_line(relative, line):
    for prefix, pattern, allowed, why in FORBIDDEN_TEXT:
        if relative.startswith(prefix) and not any(relative.startswith(a) for a in allowed) and re.search(pattern, line):
            yield why


def check_tree(root):
    found = []
    for relative, path in sources(root):
        with open(path, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                match = INCLUDE.match(line)
                problems = list(check_line(relative, line))
                if match:
                    problems += check_include(relative, match.group(1) == '"', match.group(2))
                found += [f"{relative}:{number}: {problem}" for problem in problems]
    return found


GOOD = {
    "include/vnvme/a.hpp": '#include "vnvme/b.hpp"\n#include <string>\n',
    "src/core/a.cpp": '#include "core/a.hpp"\n#include "vnvme/a.hpp"\n',
    "src/core/log.cpp": "#include <spdlog/logger.h>\n",
    "src/state/a.cpp": "#include <sqlite3.h>\n",
    "src/daemon/a.cpp": '#include "state/a.hpp"\n#include "service/a.hpp"\n',
    "src/frontend/a.cpp": '#include "vnvme/smapi_frame.hpp"\n#include <unistd.h>\n',
    "src/hook/a.cpp": '#include "hook/gate.hpp"\n#include "vnvme/reservation_text.hpp"\n#include "vnvme/ids.hpp"\n',
    "src/dpu/spdk/a.cpp": '#include "rpc/a.hpp"\n// an SRAM disk\n',
}
BAD = {
    "include/vnvme/a.hpp": '#include "core/a.hpp"\n',
    "include/vnvme/b.hpp": "#include <sqlite3.h>\n",
    "include/vnvme/c.hpp": "#include <boost/asio/ip/tcp.hpp>\n",
    "src/core/a.cpp": '#include "state/a.hpp"\n',
    "src/model/a.cpp": '#include "dpu/a.hpp"\n',
    "src/model/b.cpp": "#include <boost/asio/post.hpp>\n",
    "src/model/c.cpp": "// a bdev\n",
    "src/service/a.cpp": '#include "host/a.hpp"\n',
    "src/service/b.cpp": '#include "state/a.hpp"\n',
    "src/service/c.cpp": "auto j = Json::parse(text);\n",
    "src/host/a.cpp": '#include "service/a.hpp"\n',
    "src/host/b.cpp": "#include <spdlog/logger.h>\n",
    "src/dpusim/a.cpp": '#include "rpc/a.hpp"\n',
    "src/dpusim/b.cpp": '#  include "dpu/spdk/a.hpp"\n',
    "src/frontend/a.cpp": '#include "core/json.hpp"\n',
    "src/frontend/b.cpp": "#include <boost/asio/post.hpp>\n",
    "src/frontend/c.cpp": "#include <thread>\n",
    "src/frontend/d.cpp": '#include "vnvme/time.hpp"\n',
    "src/hook/a.cpp": '#include "core/text.hpp"\n',
    "src/hook/b.cpp": "#include <nlohmann/json.hpp>\n",
    "src/hook/c.cpp": '#include "vnvme/time.hpp"\n',
    "src/cli/a.cpp": '#include "daemon/a.hpp"\n',
    "src/daemon/a.cpp": "#include <sqlite3.h>\n",
    "src/dpu/spdk/a.cpp": "// the SR\n",
    "src/novel/a.cpp": '#include "core/a.hpp"\n',
}


def check_itself():
    def findings(files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as out:
                    out.write(text)
            return check_tree(root)

    wrong = [f"finds fault with what is right: {problem}" for problem in findings(GOOD)]
    for name, text in BAD.items():
        if not findings({name: text}):
            wrong.append(f"does not see the violation in {name}: {text!r}")
    return wrong


def main():
    root = os.environ.get("VNVME_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    wrong = check_itself()
    if wrong:
        print("the check itself is broken:", *wrong, sep="\n")
        return 2
    if not any(True for _ in sources(root)):
        print(f"no sources below {root}")
        return 2
    found = check_tree(root)
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
