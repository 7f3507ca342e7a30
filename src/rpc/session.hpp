// The life of a session with a peer, as a table. Pure.
//
//   idle -> connecting -> probing -> up
//               |            |       |
//               +--> resting <-------+      resting -> connecting, after a pause that grows
//   every state -> closed, by stop
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "vnvme/time.hpp"

namespace vnvme::rpc {

enum class SessionState : std::uint8_t { idle, connecting, probing, up, resting, closed };
enum class SessionEvent : std::uint8_t {
  start,
  connected,
  connect_failed,
  probed,
  probe_failed,
  lost,
  rested,
  stop
};
enum class SessionAction : std::uint8_t { none, connect, probe, serve, rest, stop };

struct SessionRule {
  SessionState state;
  SessionEvent event;
  SessionAction action;
  SessionState next;
};

inline constexpr std::array<SessionRule, 8> kSessionTable{{
    {SessionState::idle, SessionEvent::start, SessionAction::connect, SessionState::connecting},
    {SessionState::connecting, SessionEvent::connected, SessionAction::probe, SessionState::probing},
    {SessionState::connecting, SessionEvent::connect_failed, SessionAction::rest, SessionState::resting},
    {SessionState::probing, SessionEvent::probed, SessionAction::serve, SessionState::up},
    {SessionState::probing, SessionEvent::probe_failed, SessionAction::rest, SessionState::resting},
    {SessionState::probing, SessionEvent::lost, SessionAction::rest, SessionState::resting},
    {SessionState::up, SessionEvent::lost, SessionAction::rest, SessionState::resting},
    {SessionState::resting, SessionEvent::rested, SessionAction::connect, SessionState::connecting},
}};

class SessionMachine {
 public:
  [[nodiscard]] SessionState state() const { return state_; }
  // What to do now. stop works in every state; an event that the table does not have changes nothing.
  SessionAction on(SessionEvent event);

 private:
  SessionState state_ = SessionState::idle;
};

std::string_view to_string(SessionState state);
std::string_view to_string(SessionEvent event);

// Pauses between attempts: they double up to a bound; jitter keeps many hosts from knocking at once.
class Backoff {
 public:
  struct Options {
    MonoClock::duration first = std::chrono::milliseconds(50);
    MonoClock::duration most = std::chrono::seconds(5);
    std::uint64_t seed = 1;
  };
  explicit Backoff(Options options) : options_(options), random_(options.seed | 1), base_(options.first) {}
  // Between half and the whole of the present step.
  MonoClock::duration next();
  void reset() { base_ = options_.first; }

 private:
  Options options_;
  std::uint64_t random_;
  MonoClock::duration base_;
};

}  // namespace vnvme::rpc
