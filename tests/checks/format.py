"""C++ is formatted as .clang-format says. Skipped (77) where clang-format 14 is not installed."""

import os
import re
import shutil
import subprocess
import sys


def sources(root):
    for top in ("include", "src", "tests", "cmake"):
        for folder, subfolders, names in os.walk(os.path.join(root, top)):
            if os.path.relpath(folder, root).startswith("tests/data"):
                subfolders[:] = []
                continue
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith((".cpp", ".hpp")))


def main():
    root = os.environ.get("VNVME_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        print("clang-format is not installed")
        return 77
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    if not re.search(r"version 14\.", version):
        print(f"{version.strip()}: versions differ in what they like, and 14 decides here")
        return 77
    files = list(sources(root))
    if not files:
        print(f"no sources below {root}")
        return 2
    wrong = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", "-"], input="int  main( ){}\n",
                           capture_output=True, text=True, cwd=root, check=False)
    if wrong.returncode == 0:
        print("the check itself is broken: it likes badly formatted text")
        return 2
    found = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", *files], capture_output=True, text=True,
                           cwd=root, check=False)
    names = sorted(set(re.findall(r"^(.+?):\d+:\d+: error:", found.stderr, re.MULTILINE)))
    print(*(f"clang-format -i {os.path.relpath(name, root)}" for name in names), sep="\n")
    return 1 if found.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
