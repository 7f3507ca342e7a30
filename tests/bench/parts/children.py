"""Starting one process the way the broker's helper does, and what it cost."""
import os
import time


class Failed(Exception):
    pass


def run(argv, env, stdin, check=None):
    """(seconds from start to end, CPU seconds of the child, its stdout); Failed when it did not end with 0."""
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env, file_actions=[
        (os.POSIX_SPAWN_DUP2, in_r, 0), (os.POSIX_SPAWN_DUP2, out_w, 1),
        (os.POSIX_SPAWN_CLOSE, in_w), (os.POSIX_SPAWN_CLOSE, out_r)])
    os.close(in_r)
    os.close(out_w)
    try:
        os.write(in_w, stdin)  # far below what a pipe holds
    except BrokenPipeError:
        pass  # it does not read its stdin
    os.close(in_w)
    out = b""
    while piece := os.read(out_r, 65536):
        out += piece
    os.close(out_r)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    if status != 0 or (check is not None and not check(out)):
        raise Failed(f"{' '.join(argv)}: status {status}, stdout {out[:300]!r}")
    return seconds, usage.ru_utime + usage.ru_stime, out
