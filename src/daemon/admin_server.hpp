// The socket of the `vnvme` command: one JSON request a line, one JSON answer a
// line (include/vnvme/admin.hpp). Everything a client can send is bounded.
#pragma once
#include "daemon/listener.hpp"
#include "vnvme/admin.hpp"

namespace vnvme::daemon {

struct AdminLimits {
  std::size_t connections = 32;
  std::size_t line = 64u << 10;
  std::chrono::seconds idle{60};          // a client that says nothing
  std::chrono::seconds write{30};         // a client that takes nothing
  std::chrono::seconds answer{60};        // a verb
  std::chrono::seconds long_answer{600};  // a verb that may load a pool: adopt, drives
  std::chrono::milliseconds follow{500};  // how often `events --follow` looks
};

class AdminServer {
 public:
  AdminServer(Executor, Fd socket, AdminHandler&, AdminLimits = {}, PeerPolicy = root_or_self);
  void start() { listener_.start(); }
  // No new connections, no new requests; what runs may end.
  void stop();
  void close_all() { listener_.close_all(); }
  Task<bool> drained(Deadline deadline) { return listener_.drained(deadline); }

 private:
  Task<void> serve(Stream& stream);
  Task<bool> answer(Stream& stream, std::string line);
  Task<void> follow(Stream& stream, nlohmann::json args);
  Task<bool> send(Stream& stream, std::string text);

  AdminHandler& handler_;
  AdminLimits limits_;
  PeerPolicy may_;
  Executor executor_;
  bool stopping_ = false;
  std::vector<Stream*> quiet_;  // waiting for a request, or following: closed at once by stop()
  Listener listener_;
};

}  // namespace vnvme::daemon
