// JSON-RPC without framing on unix and TCP sockets, with SPDK's limits and its answer tick.
#pragma once
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dpusim/dispatcher.hpp"
#include "vnvme/time.hpp"

namespace vnvme::sim {

class Server;

// Shared: unfinished answers and pending reads keep it until both are done.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  Connection(Server& server, Socket socket, std::size_t listener);
  ~Connection();
  void read();

 private:
  static constexpr std::size_t kMostOutstanding = 10'000;
  static constexpr std::size_t kMostQueued = 256u << 20;
  void arrived();
  void process();
  void send(const Mangled& out);
  void write();
  void close();
  void close_when_idle();
  Server& server_;
  std::weak_ptr<int> server_lives_;  // at the end of the program a connection may outlive it
  Socket socket_;
  std::size_t listener_;
  Timer tick_;
  std::string in_;
  std::vector<char> piece_;
  std::deque<std::string> out_;
  std::size_t queued_ = 0, outstanding_ = 0;
  bool tick_set_ = false, writing_ = false, ended_ = false, close_after_ = false, closed_ = false;
};

class Server {
 public:
  static constexpr std::size_t kMostConnections = 64;  // one more waits, silent, until one closes
  Server(boost::asio::io_context& io, Target& target, std::uint64_t tick_ms)
      : io_(io), dispatcher_(target), target_(target), tick_ms_(tick_ms) {}
  Result<void> listen(const std::string& address);  // "unix:/path" or "tcp:a.b.c.d:port"
  void stop();                                      // removes its unix sockets
  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  friend class Connection;
  struct Listener {
    std::unique_ptr<boost::asio::local::stream_protocol::acceptor> local;
    std::unique_ptr<boost::asio::ip::tcp::acceptor> tcp;
    std::size_t open = 0;
    bool accepting = false;
  };
  Result<void> listen_unix(const std::string& path);
  Result<void> listen_tcp(const std::string& host_port);
  void accept(std::size_t listener);
  void left(std::size_t listener);
  boost::asio::io_context& io_;
  Dispatcher dispatcher_;
  Target& target_;
  std::uint64_t tick_ms_;
  std::vector<Listener> listeners_;
  std::vector<std::string> paths_, addresses_;
  std::shared_ptr<int> alive_ =
      std::make_shared<int>(0);  // shared with nobody: connections only look whether it lives
};

// The parts of "a.b.c.d:port".
Result<boost::asio::ip::tcp::endpoint> parse_endpoint(const std::string& text);

}  // namespace vnvme::sim
