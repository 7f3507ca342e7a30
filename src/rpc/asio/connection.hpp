// One connection: the only place where the pure multiplexer meets a stream.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "rpc/asio/stream.hpp"
#include "rpc/multiplexer.hpp"
#include "rpc/overdue.hpp"

namespace vnvme::rpc {

// Whatever must be kept until the peer is done with a request, also when its caller has gone (a lane).
// shared_ptr: the operation holds it over several requests, and a request that missed its deadline holds it
// on for a bounded time (rpc/overdue.hpp).
using Keep = std::shared_ptr<void>;

// Lives in shared_ptr: its reader and writer coroutines hold it, because they end some time after close().
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Options {
    Multiplexer::Options multiplexer;
    ScanLimits scan;
    Overdue::Options overdue;
    std::string probe = "spdk_get_version";  // costs the peer nothing, and needs no parameters
  };
  Connection(boost::asio::io_context& io, std::unique_ptr<Stream> stream, Options options);
  // Begins to read and write. `on_closed` is called once.
  void start(std::function<void()> on_closed);

  // The peer's answer, be it a result or an error object. An Error is a failure of the conversation; its
  // outcome says whether the peer may have acted. `keep` is released when the peer is done with the request,
  // or it can be waited for no longer.
  Task<Result<Answer>> call(std::string method, nlohmann::json params, Deadline deadline, Keep keep);

  void close(Error why);
  [[nodiscard]] bool open() const { return open_; }
  [[nodiscard]] const Error& why_closed() const { return why_closed_; }
  [[nodiscard]] const Counters& counters() const { return multiplexer_.counters(); }
  [[nodiscard]] std::uint64_t next_id() const { return multiplexer_.next_id(); }

 private:
  struct Waiter {
    Timer timer;
    std::optional<Result<Answer>> answer;
  };
  class Registration;
  static Task<void> read_loop(std::shared_ptr<Connection> self);
  static Task<void> write_loop(std::shared_ptr<Connection> self);
  static Task<void> overdue_loop(std::shared_ptr<Connection> self);
  Result<void> take(std::string_view bytes);
  void finish(Finished finished);
  void finish_all(std::vector<Finished> all);
  void given_up(std::uint64_t id, Deadline deadline, MonoClock::duration planned);
  void judge_overdue();

  boost::asio::io_context& io_;
  std::unique_ptr<Stream> stream_;
  Options options_;
  Multiplexer multiplexer_;
  FrameScanner scanner_;
  Overdue overdue_;
  Timer writer_, overdue_timer_;
  std::map<std::uint64_t, Waiter*> waiters_;
  std::map<std::uint64_t, Keep> kept_;
  std::function<void()> on_closed_;
  bool open_ = true;
  Error why_closed_;
};

}  // namespace vnvme::rpc
