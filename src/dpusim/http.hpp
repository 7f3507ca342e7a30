// JSON-RPC over HTTP as SPDK's rpc_http_proxy.py does it: one request at a time, an idle client blocks
// everybody, the end of a body is the end of the connection.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "dpusim/dispatcher.hpp"

namespace vnvme::sim {

class HttpServer {
 public:
  static constexpr std::size_t kMostHead = 65536, kMostBody = 1u << 20;
  HttpServer(boost::asio::io_context& io, Target& target) : io_(io), acceptor_(io), dispatcher_(target) {}
  // auth_file: one line user:password.
  Result<std::string> listen(const std::string& host_port, const std::string& auth_file);
  void stop();

 private:
  struct Request {
    std::string method, path, authorization, body;
    std::size_t length = 0;
    bool chunked = false;
  };
  using Socket = boost::asio::ip::tcp::socket;
  boost::asio::awaitable<void> accept_loop();
  boost::asio::awaitable<void> serve(Socket& socket);
  boost::asio::awaitable<bool> read_head(Socket& socket, std::string& buffer, Request& request);
  boost::asio::awaitable<bool> read_body(Socket& socket, std::string& buffer, Request& request);
  boost::asio::awaitable<bool> read_chunks(Socket& socket, std::string& buffer, Request& request);
  boost::asio::awaitable<bool> fill(Socket& socket, std::string& buffer, std::size_t wanted);
  boost::asio::awaitable<std::string> answer(Socket& socket, std::string body);
  static std::string in_chunks(const std::string& body);
  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  Dispatcher dispatcher_;
  std::string credentials_;
};

}  // namespace vnvme::sim
