"""Every file of the repository: length, functions, words that do not belong in one. Proves itself first."""

import os
import re
import subprocess
import sys

MAX_FILE = 600      # lines
MAX_FUNCTION = 60   # lines, from its first to its closing brace
MAX_BYTES = 4 << 20

CODE = (".cpp", ".hpp", ".h", ".c", ".py", ".sh", ".cmake")
BINARY = (".png", ".gz", ".bin", ".db")

# Written in pieces, so that this file may be in the repository too.
FORBIDDEN = [
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b"), "an unfinished place"),
    (re.compile(r"(?<![\w.~-])/wo" r"rk/"), "a path of one machine"),
    (re.compile(r"\.\./sha" r"red\b"), "a path outside the repository"),
    (re.compile(r"^(<{7}|={7}|>{7})( |$)"), "a conflict that was not resolved"),
    (re.compile(r"\r$"), "a carriage return"),
]


def tracked(root):
    answer = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)
    if answer.returncode == 0:
        return sorted(name for name in answer.stdout.decode().split("\0") if name)
    names = []  # an unpacked archive has no .git
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [s for s in subfolders if s not in ("build", ".git", ".cache", "__pycache__")]
        names += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(names)


def is_data(name):
    return name.startswith("tests/data/")


def long_functions(lines):
    """A lone brace at indentation 0, or 2 within a class, closes a function (types end with "};", namespaces with a
    comment). The function begins at the nearest line above of the same indentation."""
    for indent in ("", "  "):
        start = None
        for number, line in enumerate(lines, 1):
            if line == indent + "}" and start is not None:
                table = re.match(r"\s+static const(expr)? .*\{$", lines[start])  # a table has no length of its own
                if number - start + 1 > MAX_FUNCTION and not table:
                    yield start, number - start + 1
                start = None
            elif line.startswith(indent) and line[len(indent):len(indent) + 1] not in ("", " ", "#"):
                start = number


def check_text(name, text):
    if is_data(name):
        return
    lines = text.split("\n")
    if text and not text.endswith("\n"):
        yield f"{name}: the last line does not end"
    if name.endswith(CODE) and len(lines) - 1 > MAX_FILE:
        yield f"{name}: {len(lines) - 1} lines, more than {MAX_FILE}"
    for number, line in enumerate(lines, 1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                yield f"{name}:{number}: {what}: {line.strip()[:80]}"
    if name.endswith((".cpp", ".hpp")) and not name.startswith("tests/"):
        for start, length in long_functions(lines):
            yield f"{name}:{start}: a function of {length} lines, more than {MAX_FUNCTION}"


def check_file(root, name):
    path = os.path.join(root, name)
    if os.path.islink(path) or not os.path.isfile(path):
        return
    if os.path.getsize(path) > MAX_BYTES:
        yield f"{name}: larger than {MAX_BYTES} bytes"
        return
    if name.endswith(BINARY) or is_data(name):
        return
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except UnicodeDecodeError:
        yield f"{name}: not UTF-8"
        return
    yield from check_text(name, text)


def check_itself():
    body = "  call();\n"
    good = {
        "a.cpp": "namespace a {\n" + "int x;\n" * 100 + "}\n",
        "b.cpp": "int f(int a) {\n" + body * 58 + "}\n",
        "c.md": "word\n" * 1000,
        "d.cpp": "class A {\n" + "  int f() {\n    return 1;\n  }\n" * 40 + "};\n",
        "f.cpp": "const int* f() {\n  static const int all[] = {\n" + "      1,\n" * 100 + "  };\n  return all;\n}\n",
        "tests/g.cpp": "int f(int a) {\n" + body * 70 + "}\n",
        "e.cpp": "const int table[] = {\n" + "  1,\n" * 100 + "};\n",
    }
    bad = {
        "a.cpp": "int x;\n" * 601,
        "b.cpp": "int f(int a) {\n" + body * 59 + "}\n",
        "c.cpp": "class A {\n  int f(int a) const {\n" + "    call();\n#if 1\n\n" * 30 + "  }\n};\n",
        "d.py": "# TO" + "DO later\n",
        "e.md": "see /wo" + "rk/main\n",
        "f.md": "see ../sha" + "red/design\n",
        "g.sh": "<<<<" + "<<< HEAD\n",
        "h.sh": "echo\r\n",
        "i.cpp": "int x;",
        "j.cpp": "Task<Result<void>> A::f(int a,\n                      int b) {\n" + body * 70 + "}\n",
    }
    wrong = [f"finds fault with what is right: {p}" for name, text in good.items() for p in check_text(name, text)]
    for name, text in bad.items():
        if len(list(check_text(name, text))) != 1:
            wrong.append(f"does not see exactly one fault in {name}: {list(check_text(name, text))}")
    return wrong


def main():
    root = os.environ.get("VNVME_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    wrong = check_itself()
    if wrong:
        print("the check itself is broken:", *wrong, sep="\n")
        return 2
    names = tracked(root)
    if len(names) < 20:
        print(f"only {len(names)} files below {root}")
        return 2
    found = [problem for name in names for problem in check_file(root, name)]
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
