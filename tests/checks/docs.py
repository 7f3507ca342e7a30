"""The documents: every relative link leads somewhere, every test that docs/invariants.md names exists, every invariant
has its section, the README tells how to begin. Proves itself first, on made-up trees."""

import os
import re
import subprocess
import sys
import tempfile

RULES = ([f"I{n}" for n in range(1, 8)] + [f"C{n}" for n in range(1, 7)] + [f"R{n}" for n in range(1, 7)] +
         [f"P{n}" for n in range(1, 5)])
COMMANDS = ("./run demo", "./run test")

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
FOREIGN = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
CODE = re.compile(r"`([^`]+)`")
GTEST = re.compile(r"^\w+\.\w+$")
PYTEST = re.compile(r"^[a-z]\w*$")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def documents(root):
    answer = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
                            capture_output=True, check=False)
    if answer.returncode == 0:
        names = [n for n in answer.stdout.decode().split("\0") if n]
    else:  # an unpacked archive has no .git
        names = []
        for folder, subfolders, files in os.walk(root):
            subfolders[:] = [s for s in subfolders if s not in ("build", ".git", ".cache")]
            names += [os.path.relpath(os.path.join(folder, f), root) for f in files if f.endswith(".md")]
    return sorted(n for n in names if not n.startswith("tests/data/") and os.path.isfile(os.path.join(root, n)))


def prose(text):
    """Without fenced blocks: what stands there is an example, not a link."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """The names that headings get: lower case, punctuation gone, spaces to dashes."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(text), flags=re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(words.strip().replace(" ", "-"))
    return found


def check_links(root, name):
    for target in LINK.findall(CODE.sub("", prose(read(os.path.join(root, name))))):
        if FOREIGN.match(target):
            continue
        path, _, anchor = target.partition("#")
        place = os.path.normpath(os.path.join(root, os.path.dirname(name), path)) if path else os.path.join(root, name)
        if os.path.relpath(place, root).startswith(".."):
            yield f"{name}: the link {target} leaves the repository"
        elif not os.path.exists(place):
            yield f"{name}: the link {target} leads nowhere"
        elif anchor and place.endswith(".md") and anchor not in anchors(read(place)):
            yield f"{name}: {target}: there is no such heading"


def sections(text):
    """(number, items) of each invariant; an item is a bullet with its continuation lines."""
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        part = re.split(r"^## ", part, flags=re.MULTILINE)[0]
        yield part.split(None, 1)[0], re.findall(r"^- (.*(?:\n  .*)*)", part, flags=re.MULTILINE)


def missing_tests(source, path, names):
    for test in names:
        if path.endswith(".py"):
            known = PYTEST.match(test) and re.search(rf"^\s*def {test}\(", source, flags=re.MULTILINE)
        else:
            suite, _, case = test.partition(".")
            known = GTEST.match(test) and re.search(rf"^TEST(_F|_P)?\({suite},\s*{case}\)", source, flags=re.MULTILINE)
        if not known:
            yield f"docs/invariants.md: {path} has no test {test}"


def check_invariants(root):
    place = os.path.join(root, "docs/invariants.md")
    if not os.path.isfile(place):
        yield "docs/invariants.md is missing"
        return
    seen = {}
    for number, items in sections(read(place)):
        if number in seen:
            yield f"docs/invariants.md: {number} stands there twice"
        seen[number] = items
        if not items:
            yield f"docs/invariants.md: {number} names neither a test nor says that there is none"
        for item in items:
            words = CODE.findall(item)
            if item.startswith("not ") or not words:
                if not item.startswith("not "):
                    yield f"docs/invariants.md: {number}: which file is that: {item[:60]}"
                continue
            path, tests = words[0], words[1:]
            if not path.startswith("tests/") or not os.path.isfile(os.path.join(root, path)):
                yield f"docs/invariants.md: {number}: there is no file {path}"
            elif not tests:
                yield f"docs/invariants.md: {number}: {path} is named without a test"
            else:
                yield from missing_tests(read(os.path.join(root, path)), path, tests)
    for number in RULES:
        if number not in seen:
            yield f"docs/invariants.md: {number} has no section"
    for number in seen:
        if number not in RULES:
            yield f"docs/invariants.md: {number} is no known invariant"


def check_tree(root):
    for name in documents(root):
        yield from check_links(root, name)
    yield from check_invariants(root)
    readme = os.path.join(root, "README.md")
    text = read(readme) if os.path.isfile(readme) else ""
    for command in COMMANDS:
        if command not in text:
            yield f"README.md does not say {command}"


def good_tree():
    cited = "\n\n".join(f"### {n} rule\n\n- `tests/a_test.cpp`: `Suite.Case`,\n  `Suite.Other`" for n in RULES[:-2])
    return {
        "README.md": "./run demo ./run test [d](docs/invariants.md#data) `[no](link)` [w](https://example.org/x)\n"
                     "```\n[no](link)\n```\n",
        "docs/invariants.md": f"# T\n\n## Data\n\n{cited}\n\n### {RULES[-2]} r\n\n- not yet tested\n\n"
                              f"### {RULES[-1]} r\n\n- `tests/b.py`: `test_x`\n\n## More\n\n- `words` of [r](../README.md)\n",
        "tests/a_test.cpp": "TEST(Suite, Case) {\nTEST_P(Suite, Other) {\n",
        "tests/b.py": "class A:\n    def test_x(self):\n",
    }


def faults_of(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as out:
                out.write(text)
        return list(check_tree(root))


def check_itself():
    """Each change of the good tree is exactly one fault."""
    good, doc = good_tree(), "docs/invariants.md"
    wrong = [f"finds fault with what is right: {p}" for p in faults_of(good)]
    changes = [
        ("README.md", "./run demo", "./run it"),
        ("README.md", "./run test", "make test"),
        ("README.md", "docs/invariants.md#data", "docs/nowhere.md"),
        ("README.md", "#data", "#date"),
        (doc, "../README.md", "../../README.md"),
        (doc, "- not yet tested", ""),
        (doc, "- not yet tested", "- some time"),
        (doc, "- not yet tested", "- `tests/b.py`"),
        (doc, "- not yet tested", "- `tests/c.py`: `test_x`"),
        (doc, "`test_x`", "`test_y`"),
        (doc, "`test_x`", "`A.test_x`"),
        (doc, f"### {RULES[-2]} r\n\n- not yet tested\n", ""),
        (doc, f"### {RULES[-1]} r", f"### {RULES[-2]} r\n\n- not yet\n\n### {RULES[-1]} r"),
        (doc, f"### {RULES[-1]} r", f"### X9 r\n\n- not yet\n\n### {RULES[-1]} r"),
    ]
    for name, old, new in changes:
        files = dict(good, **{name: good[name].replace(old, new, 1)})
        found = faults_of(files)
        if good[name].count(old) < 1 or len(found) != 1:
            wrong.append(f"does not see exactly one fault after {old!r} -> {new!r}: {found}")
    if len(faults_of(dict(good, **{"tests/a_test.cpp": "TEST(Suite, Case) {\n"}))) != len(RULES) - 2:
        wrong.append("does not miss a test once for each rule that names it")
    if not any("missing" in f for f in faults_of({"README.md": good["README.md"].replace("docs/invariants.md", "")})):
        wrong.append("does not miss the list of invariants")
    return wrong


def main():
    root = os.environ.get("VNVME_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    wrong = check_itself()
    if wrong:
        print("the check itself is broken:", *wrong, sep="\n")
        return 2
    found = list(check_tree(root))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
