#include "system.hpp"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace vnvme::plugin {
namespace {

// A pipe takes this much without blocking once poll() calls it writable, so stdout needs no O_NONBLOCK (which
// would change it for everybody who shares it).
constexpr std::size_t kPipeAtom = 4096;

// Before Linux 5.9 (XCP-ng 8.3 has 4.19) there is no close_range.
void close_one_by_one() {
  struct Entry {
    std::uint64_t inode;
    std::int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[1];
  };
  int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) {
    for (int fd = 3; fd < 1024; ++fd) close(fd);
    return;
  }
  alignas(Entry) char buffer[4096];
  // Closing while listing makes the kernel skip some: list again until a pass finds none.
  for (int pass = 0; pass < 64; ++pass) {
    bool closed = false;
    lseek(dir, 0, SEEK_SET);
    for (long n; (n = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0;) {
      for (long at = 0; at < n;) {
        auto* entry = reinterpret_cast<Entry*>(buffer + at);
        at += entry->length;
        int fd = atoi(entry->name);
        if (fd > 2 && fd != dir) close(fd), closed = true;
      }
    }
    if (!closed) break;
  }
  close(dir);
}

}  // namespace

std::int64_t now_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
}

void settle_in() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
#endif
  close_one_by_one();
}

bool wait_for(int fd, short events, Until until) {
  for (;;) {
    pollfd p{fd, events, 0};
    int n = poll(&p, 1, until.left_ms());
    if (n > 0) return true;
    if (n == 0) return false;
    if (errno != EINTR && errno != EAGAIN) return false;
  }
}

void pause_ms(int ms) {
  poll(nullptr, 0, ms);
}

Input read_stdin(char* into, std::size_t capacity, std::size_t& size, Until until) {
  char spill[4096];
  bool too_large = false;
  size = 0;
  for (;;) {
    if (!wait_for(0, POLLIN, until)) return Input::late;
    bool full = size == capacity;
    auto n = full ? read(0, spill, sizeof spill) : read(0, into + size, capacity - size);
    if (n == 0) return too_large ? Input::too_large : Input::whole;
    if (n < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return errno == EBADF ? Input::whole : Input::broken;  // closed stdin: nothing came
    }
    if (full)
      too_large = true;
    else
      size += static_cast<std::size_t>(n);
  }
}

bool write_all(int fd, std::string_view text, Until until) {
  while (!text.empty()) {
    if (!wait_for(fd, POLLOUT, until)) return false;
    auto n = write(fd, text.data(), text.size() < kPipeAtom ? text.size() : kPipeAtom);
    if (n > 0)
      text.remove_prefix(static_cast<std::size_t>(n));
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
      return false;
  }
  return true;
}

bool make_uuid(char* into) {
  unsigned char raw[16];
  // 16 bytes come whole or not at all
  if (getrandom(raw, sizeof raw, 0) != static_cast<ssize_t>(sizeof raw)) return false;
  raw[6] = static_cast<unsigned char>((raw[6] & 0x0f) | 0x40);
  raw[8] = static_cast<unsigned char>((raw[8] & 0x3f) | 0x80);
  constexpr char hex[] = "0123456789abcdef";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *into++ = '-';
    *into++ = hex[raw[i] >> 4];
    *into++ = hex[raw[i] & 15];
  }
  return true;
}

std::string_view working_directory_name() {
  static char path[4096];
  if (getcwd(path, sizeof path) == nullptr) return {};
  std::string_view all(path);
  std::size_t at = all.size();
  while (at > 0 && path[at - 1] != '/') --at;
  return {path + at, all.size() - at};
}

}  // namespace vnvme::plugin
