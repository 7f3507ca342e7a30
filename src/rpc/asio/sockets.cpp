#include <sys/un.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "rpc/asio/stream.hpp"

namespace vnvme::rpc {
namespace {

namespace asio = boost::asio;
using Protocol = asio::generic::stream_protocol;
using Socket = Protocol::socket;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

Error failed(const std::string& what, const boost::system::error_code& why) {
  if (why == asio::error::operation_aborted) return Error{.code = Errc::cancelled, .text = what + ": closed"};
  if (why == asio::error::eof)
    return Error{.code = Errc::unreachable, .text = what + ": the peer closed the connection"};
  return Error{.code = Errc::unreachable, .text = what + ": " + why.message(), .native = why.value()};
}

class SocketStream final : public Stream {
 public:
  explicit SocketStream(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
  ~SocketStream() override { shut(); }

  Task<Result<std::size_t>> read_some(std::span<char> into) override {
    auto [error, n] = co_await socket_->async_read_some(asio::buffer(into.data(), into.size()), kAwait);
    if (error) co_return fail(failed("read", error));
    co_return n;
  }
  Task<Result<std::size_t>> write_some(std::string_view bytes) override {
    auto [error, n] = co_await socket_->async_write_some(asio::buffer(bytes.data(), bytes.size()), kAwait);
    if (error) co_return fail(failed("write", error));
    co_return n;
  }
  void close() override { shut(); }

 private:
  void shut() {
    boost::system::error_code ignored;
    socket_->close(ignored);
  }
  // Shared with the timer that may close it while a connect is under way (see SocketConnector::connect).
  std::shared_ptr<Socket> socket_;
};

class SocketConnector final : public Connector {
 public:
  SocketConnector(asio::io_context& io, Protocol::endpoint where, bool tcp, std::string endpoint)
      : io_(io), where_(std::move(where)), tcp_(tcp), endpoint_(std::move(endpoint)) {}
  [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

  Task<Result<std::unique_ptr<Stream>>> connect(Deadline deadline) override {
    // shared_ptr: the timer's handler may already be queued when the connect completes, and then runs after
    // us.
    auto socket = std::make_shared<Socket>(io_);
    boost::system::error_code error;
    socket->open(where_.protocol(), error);
    if (error) co_return fail(failed("socket", error));
    Timer timer(io_, deadline.at());
    timer.async_wait([socket](boost::system::error_code why) {
      boost::system::error_code ignored;
      if (!why) socket->close(ignored);
    });
    auto [why] = co_await socket->async_connect(where_, kAwait);
    timer.cancel();
    if (why && deadline.passed()) co_return fail(Errc::timeout, "connect: no answer before the deadline");
    if (why) co_return fail(failed("connect", why));
    if (!socket->is_open()) co_return fail(Errc::timeout, "connect: no answer before the deadline");
    // Requests are small and each is waited for: Nagle would only add latency.
    if (tcp_) socket->set_option(asio::ip::tcp::no_delay(true), error);
    std::unique_ptr<Stream> stream = std::make_unique<SocketStream>(std::move(socket));
    co_return stream;
  }

 private:
  asio::io_context& io_;
  Protocol::endpoint where_;
  bool tcp_;
  std::string endpoint_;
};

Result<std::unique_ptr<Connector>> unix_connector(asio::io_context& io, const std::string& path,
                                                  const std::string& uri) {
  sockaddr_un limits{};
  if (path.empty() || path.front() != '/' || path.size() >= sizeof limits.sun_path)
    return fail(Errc::invalid_argument, "not an absolute path of a unix socket: \"" + path + "\"");
  asio::local::stream_protocol::endpoint where(path);
  return std::make_unique<SocketConnector>(io, Protocol::endpoint(where), false, uri);
}

Result<std::unique_ptr<Connector>> tcp_connector(asio::io_context& io, const std::string& rest,
                                                 const std::string& uri) {
  auto colon = rest.rfind(':');
  auto wrong = [&uri]() {
    return fail(Errc::invalid_argument, "not tcp:ADDRESS:PORT with a numeric address: \"" + uri + "\"");
  };
  if (colon == std::string::npos) return wrong();
  auto host = rest.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    return wrong();
  unsigned port = 0;
  auto digits = std::string_view(rest).substr(colon + 1);
  auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (problem != std::errc{} || end != digits.data() + digits.size() || port == 0 || port > 65535)
    return wrong();
  boost::system::error_code error;
  auto address = asio::ip::make_address(host, error);
  if (error) return wrong();
  asio::ip::tcp::endpoint where(address, static_cast<std::uint16_t>(port));
  return std::make_unique<SocketConnector>(io, Protocol::endpoint(where), true, uri);
}

}  // namespace

Task<Result<void>> Stream::ready() {
  co_return Result<void>{};
}

Result<std::unique_ptr<Connector>> make_connector(asio::io_context& io, const std::string& uri) {
  if (uri.starts_with("unix:")) return unix_connector(io, uri.substr(5), uri);
  if (uri.starts_with("tcp:")) return tcp_connector(io, uri.substr(4), uri);
  return fail(Errc::invalid_argument,
              "a DPU's address is unix:/path or tcp:ADDRESS:PORT, not \"" + uri + "\"");
}

}  // namespace vnvme::rpc
