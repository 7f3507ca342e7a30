#include "rpc/session.hpp"

#include <algorithm>

namespace vnvme::rpc {

SessionAction SessionMachine::on(SessionEvent event) {
  if (state_ == SessionState::closed) return SessionAction::stop;
  if (event == SessionEvent::stop) {
    state_ = SessionState::closed;
    return SessionAction::stop;
  }
  for (const auto& rule : kSessionTable) {
    if (rule.state != state_ || rule.event != event) continue;
    state_ = rule.next;
    return rule.action;
  }
  return SessionAction::none;
}

std::string_view to_string(SessionState state) {
  constexpr std::array<std::string_view, 6> names{"idle", "connecting", "probing", "up", "resting", "closed"};
  return names[static_cast<std::size_t>(state)];
}

std::string_view to_string(SessionEvent event) {
  constexpr std::array<std::string_view, 8> names{"start",        "connected", "connect_failed", "probed",
                                                  "probe_failed", "lost",      "rested",         "stop"};
  return names[static_cast<std::size_t>(event)];
}

MonoClock::duration Backoff::next() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  auto half = base_ / 2;
  auto jitter = MonoClock::duration(
      static_cast<std::int64_t>(random_ % (static_cast<std::uint64_t>(half.count()) + 1)));
  base_ = std::min(base_ * 2, options_.most);
  return half + jitter;
}

}  // namespace vnvme::rpc
