// The three things that a daemon says to systemd, without libsystemd (it has
// no static library): readiness (sd_notify(3)), handed-over sockets
// (sd_listen_fds(3)) and the watchdog's period (sd_watchdog_enabled(3)).
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/result.hpp"

namespace vnvme::daemon {

// Sends "READY=1\nSTATUS=..." and the like to $NOTIFY_SOCKET. False when nobody listens; never blocks.
bool notify_systemd(std::string_view state);
// The half of WATCHDOG_USEC in which "WATCHDOG=1" is due; nothing when this process is not watched.
std::optional<std::chrono::milliseconds> watchdog_period();

struct HandedSocket {
  int fd = -1;
  std::string name;  // from LISTEN_FDNAMES; empty when the unit has none
  std::string path;  // the unix address it is bound to
};
// Sockets that systemd opened for us, close-on-exec set; the environment is cleared so that no child inherits
// the claim. None without socket activation; an error when a descriptor is not a listening unix stream
// socket.
Result<std::vector<HandedSocket>> handed_sockets();

}  // namespace vnvme::daemon
