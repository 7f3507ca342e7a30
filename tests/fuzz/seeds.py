"""Makes libFuzzer's seeds out of a corpus: a line of a .jsonl or .txt file is an entry, any other file is one."""

import hashlib
import pathlib
import sys


def entries(path):
    data = path.read_bytes()
    return data.splitlines() if path.suffix in (".jsonl", ".txt") else [data]


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    for folder in sys.argv[2:]:
        for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file()):
            for entry in entries(path):
                (target / hashlib.sha1(entry).hexdigest()).write_bytes(entry)
                count += 1
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
