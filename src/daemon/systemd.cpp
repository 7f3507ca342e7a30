#include "daemon/systemd.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "core/text.hpp"

namespace vnvme::daemon {
namespace {

constexpr int kFirstHandedFd = 3;
constexpr int kMostHandedFds = 16;

std::optional<long long> number_from(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  long long value = 0;
  auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc{} || *end != '\0') return std::nullopt;
  return value;
}

Result<HandedSocket> look_at(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  sockaddr_un address{};
  socklen_t address_length = sizeof address;
  bool fits = ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value == 1 &&
              ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == SOCK_STREAM &&
              ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_length) == 0 &&
              address.sun_family == AF_UNIX;
  if (!fits)
    return fail(Errc::invalid_argument,
                "descriptor " + std::to_string(fd) +
                    " from systemd is not a listening unix stream socket; see ListenStream= "
                    "in vnvmed.socket");
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return HandedSocket{fd, "",
                      std::string(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path))};
}

}  // namespace

bool notify_systemd(std::string_view state) {
  const char* target = std::getenv("NOTIFY_SOCKET");
  if (target == nullptr || (target[0] != '/' && target[0] != '@')) return false;
  sockaddr_un address{};
  std::size_t length = std::strlen(target);
  if (length < 2 || length >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, target, length);
  if (target[0] == '@') address.sun_path[0] = '\0';  // the abstract name space
  int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  ssize_t sent =
      ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
  ::close(fd);
  return sent == static_cast<ssize_t>(state.size());
}

std::optional<std::chrono::milliseconds> watchdog_period() {
  auto pid = number_from("WATCHDOG_PID");
  auto micros = number_from("WATCHDOG_USEC");
  if (!micros || *micros < 2000 || (pid && *pid != ::getpid())) return std::nullopt;
  return std::chrono::milliseconds(*micros / 2000);
}

Result<std::vector<HandedSocket>> handed_sockets() {
  auto pid = number_from("LISTEN_PID");
  auto count = number_from("LISTEN_FDS");
  const char* names_text = std::getenv("LISTEN_FDNAMES");
  std::vector<std::string> names =
      names_text != nullptr ? split(names_text, ':') : std::vector<std::string>{};
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  std::vector<HandedSocket> sockets;
  if (!pid || *pid != ::getpid() || !count || *count <= 0) return sockets;
  if (*count > kMostHandedFds)
    return fail(Errc::invalid_argument,
                "LISTEN_FDS=" + std::to_string(*count) + " is more than vnvmed has sockets");
  for (int i = 0; i < static_cast<int>(*count); ++i) {
    auto one = look_at(kFirstHandedFd + i);
    if (!one) return fail(one.error());
    if (static_cast<std::size_t>(i) < names.size()) one->name = names[static_cast<std::size_t>(i)];
    sockets.push_back(std::move(*one));
  }
  return sockets;
}

}  // namespace vnvme::daemon
