// Accepts connections, at most so many at once; the others wait in the
// kernel's queue. Out of descriptors, it waits too, instead of spinning.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "daemon/process.hpp"
#include "daemon/stream.hpp"
#include "daemon/wakeup.hpp"

namespace vnvme::daemon {

class Listener {
 public:
  using Serve = std::function<Task<void>(Stream&)>;

  // `name` is for the log. `serve` is run for each connection, which is closed when it returns.
  Listener(Executor, Fd socket, std::string name, std::size_t most, Serve serve);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start();
  // Takes no new connection; those that are open go on.
  void stop();
  // Closes every connection: their awaits end with an error.
  void close_all();
  [[nodiscard]] std::size_t open() const { return streams_.size(); }
  // Completes when nothing of this object runs any more (true), or at the deadline (false). Call stop()
  // before.
  Task<bool> drained(Deadline);

 private:
  Task<void> accept_loop();
  void spawn(Socket socket);

  boost::asio::local::stream_protocol::acceptor acceptor_;
  std::string name_;
  std::size_t most_;
  Serve serve_;
  std::list<Stream> streams_;  // nodes stay where they are while coroutines use them
  Wakeup changed_;             // a connection ended, or the listener stops
  bool accepting_ = false;
  bool stopping_ = false;
};

}  // namespace vnvme::daemon
