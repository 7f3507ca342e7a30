#include "hook/system.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <exception>

#include "hook/gate.hpp"

namespace vnvme::hook {
namespace {

constexpr unsigned kMostSeconds = 10;
constexpr std::size_t kLogLimit = 1024;  // what every syslog daemon takes
constexpr int kDaemonFacility = 3;

void pass(int) {
  _exit(kStartAndLog);
}

std::string reason() {
  const char* name = strerrorname_np(errno);
  return name != nullptr ? name : "error " + std::to_string(errno);
}

Text unusable(std::string why) {
  return {Text::State::unusable, {}, std::move(why)};
}

Text read_open(int fd, const std::string& path, std::size_t limit) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return unusable(path + ": " + reason());
  if (!S_ISREG(info.st_mode)) return unusable(path + " is no regular file");
  Text out{Text::State::whole, {}, {}};
  char piece[64 << 10];
  for (;;) {
    auto n = read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unusable(path + ": " + reason());
    if (n == 0) return out;
    if (out.content.size() + static_cast<std::size_t>(n) > limit)
      return unusable(path + " is larger than " + std::to_string(limit) + " bytes");
    out.content.append(piece, static_cast<std::size_t>(n));
  }
}

}  // namespace

void never_block() {
  // No memory: the library calls this instead of throwing into code that cannot catch.
  std::set_terminate([] { _exit(kStartAndLog); });
  static char own[16 << 10];  // a full stack cannot run a handler
  stack_t stack{};
  stack.ss_sp = own;
  stack.ss_size = sizeof own;
  sigaltstack(&stack, nullptr);
  struct sigaction end {};
  end.sa_handler = pass;
  end.sa_flags = SA_NODEFER | SA_ONSTACK;
  for (int number :
       {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGXCPU, SIGXFSZ})
    sigaction(number, &end, nullptr);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  alarm(kMostSeconds);
}

Text read_file(const std::string& path, std::size_t limit) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return unusable(path + ": " + reason());
  }
  Text out = read_open(fd, path, limit);
  close(fd);
  return out;
}

Folder list_folder(const std::string& path, std::size_t most) {
  Folder out;
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) {
    if (errno == ENOENT) return out;
    return {Text::State::unusable, {}, path + ": " + reason()};
  }
  out.state = Text::State::whole;
  errno = 0;
  while (const dirent* entry = readdir(folder)) {
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (out.names.size() == most) {
      out = {Text::State::unusable, {}, path + " has more than " + std::to_string(most) + " entries"};
      errno = 0;
      break;
    }
    out.names.emplace_back(name);
  }
  if (errno != 0) out = {Text::State::unusable, {}, path + ": " + reason()};
  closedir(folder);
  return out;
}

bool is_there(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

void log_line(const std::string& path, Severity severity, std::string_view text) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return;
  memcpy(to.sun_path, path.data(), path.size());
  std::string line = "<" + std::to_string(kDaemonFacility * 8 + static_cast<int>(severity)) +
                     ">vnvme-vm-pre-start[" + std::to_string(getpid()) + "]: ";
  line.append(text.substr(0, kLogLimit - line.size()));
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  // Lost when it cannot be sent at once: a log must not hold a start.
  [[maybe_unused]] auto sent = sendto(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                      reinterpret_cast<const sockaddr*>(&to), sizeof to);
  close(fd);
}

void print(std::string_view text) {
  while (!text.empty()) {
    auto n = write(1, text.data(), text.size());
    if (n > 0)
      text.remove_prefix(static_cast<std::size_t>(n));
    else if (n == 0 || errno != EINTR)
      return;
  }
}

}  // namespace vnvme::hook
