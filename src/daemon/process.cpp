#include "daemon/process.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/text.hpp"

namespace vnvme::daemon {
namespace {

tl::unexpected<Error> failed(const std::string& what, const std::string& path) {
  return fail(Errc::io, "cannot " + what + " " + path + ": " + std::strerror(errno));
}

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

// Only a refused connection proves that nobody listens there any more.
bool is_dead_socket(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = address_of(path);
  return probe.get() >= 0 &&
         ::connect(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

void harden_process() {
  ::umask(077);
  rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  std::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < std::min<rlim_t>(files.rlim_max, 4096)) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

Result<void> make_directory(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return fail(Errc::io, path + " is there but is not a directory");
  }
  if (path.size() > 1) VNVME_TRY(make_directory(parent_of(path)));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed("make the directory", path);
  return {};
}

Result<void> make_empty_file(const std::string& path) {
  VNVME_TRY(make_directory(parent_of(path)));
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (file.get() < 0) return failed("make the file", path);
  return {};
}

Result<Fd> lock_instance(const std::string& state_path) {
  std::string directory = parent_of(state_path);
  VNVME_TRY(make_directory(directory));
  std::string path = directory + "/lock";
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0) return failed("open", path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return failed("lock", path);
    char holder[32] = {};
    ssize_t n = ::pread(lock.get(), holder, sizeof holder - 1, 0);
    std::string pid =
        n > 0 ? printable(split(std::string_view(holder, static_cast<std::size_t>(n)), '\n').front(), 20)
              : "?";
    return fail(Errc::busy,
                "another vnvmed (process " + pid + ") works on " + directory +
                    ": stop it first (systemctl stop vnvmed), or give this one another state_path");
  }
  std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0)
    return failed("write", path);
  return lock;
}

Result<Fd> listen_unix(const std::string& path) {
  VNVME_TRY(make_directory(parent_of(path)));
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Errc::invalid_argument, path + " is too long for a socket");
  if (is_dead_socket(path)) ::unlink(path.c_str());
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (listener.get() < 0) return failed("open a socket for", path);
  sockaddr_un address = address_of(path);
  // The mode must be right from the first instant: bind obeys the umask, a later chmod would leave a gap.
  mode_t before = ::umask(0177);
  int bound = ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int error = errno;
  ::umask(before);
  errno = error;
  if (bound != 0) return failed("listen on", path);
  if (::listen(listener.get(), SOMAXCONN) != 0) return failed("listen on", path);
  return listener;
}

std::size_t affordable_connections(std::size_t wanted) {
  constexpr rlim_t kOwn = 24;  // state, journal, DPU sessions, log, epoll, timers, sockets, helpers
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  rlim_t spare = files.rlim_cur > kOwn + 4 ? files.rlim_cur - kOwn : 4;
  return std::min<std::size_t>(wanted, spare);
}

}  // namespace vnvme::daemon
