// A session with a peer over several connections (channels), kept up: connect,
// probe, serve, and again with growing pauses. Runs the table of rpc/session.hpp.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "rpc/asio/connection.hpp"
#include "rpc/session.hpp"

namespace vnvme::rpc {

class Client {
 public:
  struct Options {
    std::size_t channels = 2;  // with fewer than somebody asks for, the last one serves him
    MonoClock::duration connect = std::chrono::seconds(2);
    MonoClock::duration probe = std::chrono::seconds(10);
    Backoff::Options backoff;
    Connection::Options connection;
  };
  // A call of the probe's: method without parameters, on one channel.
  using Ask = std::function<Task<Result<Answer>>(std::size_t channel, std::string method, Deadline)>;
  // Asks the peer what it is, before anybody else may use the session; an error ends the attempt. It may
  // still be running when the client is gone: it must hold what it uses.
  using Probe = std::function<Task<Result<void>>(Ask, Deadline)>;

  // Does nothing before start(). The io_context outlives the client.
  Client(boost::asio::io_context& io, std::unique_ptr<Connector> connector, Options options);
  ~Client();
  void start(Probe probe);

  // Fails at once with `unreachable`, not_done, while no session is up: who wants to wait has
  // wait_generation().
  Task<Result<Answer>> call(std::size_t channel, std::string method, nlohmann::json params, Deadline deadline,
                            Keep keep = nullptr);

  [[nodiscard]] std::uint64_t generation() const;
  [[nodiscard]] bool connected() const;
  [[nodiscard]] SessionState state() const;
  [[nodiscard]] std::string trouble() const;
  [[nodiscard]] const std::string& endpoint() const;
  // Sum over all connections so far.
  [[nodiscard]] Counters counters() const;
  Task<Result<std::uint64_t>> wait_generation(std::uint64_t seen, Deadline deadline);
  Task<Result<void>> wait_lost(Deadline deadline);
  void shutdown();

 private:
  // The session's own coroutine outlives shutdown() by a moment, and maybe this object: hence shared.
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace vnvme::rpc
