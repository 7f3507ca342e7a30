// What the process is to the system: private files, no core dumps (they would
// hold secrets), one instance a state directory, listening sockets.
#pragma once
#include <string>
#include <utility>

#include "vnvme/result.hpp"

namespace vnvme::daemon {

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// umask 077, RLIMIT_CORE 0, PR_SET_DUMPABLE 0, SIGPIPE ignored, RLIMIT_NOFILE raised to its hard limit.
void harden_process();

// The directory and its missing parents, mode 0700.
Result<void> make_directory(const std::string& path);
// An empty file, mode 0600, when it is not there yet: the marker of attach answers.
Result<void> make_empty_file(const std::string& path);

// Held as long as the descriptor is open; a second daemon on the same state is refused with the first one's
// pid.
Result<Fd> lock_instance(const std::string& state_path);

// A listening unix socket, mode 0600. A dead socket file is replaced; one that somebody answers on is not.
Result<Fd> listen_unix(const std::string& path);

// How many connections fit into RLIMIT_NOFILE beside everything else the daemon has open; at most `wanted`.
std::size_t affordable_connections(std::size_t wanted);

}  // namespace vnvme::daemon
