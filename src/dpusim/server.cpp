#include "dpusim/server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <cstring>

#include "dpusim/scan.hpp"

namespace vnvme::sim {
namespace asio = boost::asio;

Connection::Connection(Server& server, Socket socket, std::size_t listener)
    : server_(server),
      server_lives_(server.alive_),
      socket_(std::move(socket)),
      listener_(listener),
      tick_(server.io_),
      piece_(65536) {}

Connection::~Connection() {
  if (!server_lives_.expired()) server_.left(listener_);
}

void Connection::read() {
  socket_.async_read_some(
      asio::buffer(piece_), [self = shared_from_this()](boost::system::error_code error, std::size_t n) {
        if (self->closed_) return;
        if (error) {
          self->ended_ =
              true;  // answers under way are still sent: the peer may have shut down one direction only
          return self->close_when_idle();
        }
        self->in_.append(self->piece_.data(), n);
        self->arrived();
        if (!self->closed_) self->read();
      });
}

// Requests wait for the next tick, as they do for SPDK's poller; without a tick they are served at once.
void Connection::arrived() {
  if (server_.tick_ms_ == 0) return process();
  if (tick_set_) return;
  tick_set_ = true;
  auto tick = std::chrono::milliseconds(server_.tick_ms_);
  auto now = MonoClock::now();
  tick_.expires_at(now + tick - (now.time_since_epoch() % tick));
  tick_.async_wait([self = shared_from_this()](boost::system::error_code) {
    self->tick_set_ = false;
    if (!self->closed_) self->process();
  });
}

void Connection::process() {
  const auto& profile = server_.target_.profile;
  std::size_t at = 0;
  while (!closed_ && !close_after_) {
    auto rest = std::string_view(in_).substr(at);
    auto scan = scan_value(rest, profile.max_depth, profile.max_values);
    if (scan.state == Scan::State::broken ||
        rest.size() - std::min(rest.size(), scan.begin) > profile.max_request) {
      // an oversized request that is whole counts as well; what follows it in the buffer does not
      bool fits = scan.state == Scan::State::complete && scan.end - scan.begin <= profile.max_request;
      if (!fits) return close();
    }
    if (scan.state == Scan::State::incomplete) break;
    ++outstanding_;
    auto send_back = [weak = weak_from_this()](const Mangled& out) {
      if (auto self = weak.lock(); self != nullptr) self->send(out);
    };
    bool json = server_.dispatcher_.serve(rest.substr(scan.begin, scan.end - scan.begin),
                                          scan.repeated_member, send_back);
    if (!json || outstanding_ > kMostOutstanding) return close();
    at += scan.end;
  }
  in_.erase(0, at);
  close_when_idle();
}

void Connection::send(const Mangled& out) {
  if (closed_ || close_after_) return;
  if (outstanding_ > 0) --outstanding_;
  for (const auto& text : out.writes) {
    queued_ += text.size();
    out_.push_back(text);
  }
  close_after_ = out.close;
  if (queued_ > kMostQueued || (close_after_ && out_.empty())) return close();
  write();
}

void Connection::write() {
  if (writing_ || closed_) return;
  if (out_.empty()) {
    if (close_after_) return close();
    return close_when_idle();
  }
  writing_ = true;
  asio::async_write(socket_, asio::buffer(out_.front()),
                    [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                      self->writing_ = false;
                      if (self->closed_) return;
                      if (error) return self->close();
                      self->queued_ -= self->out_.front().size();
                      self->out_.pop_front();
                      self->write();
                    });
}

void Connection::close_when_idle() {
  if (ended_ && !tick_set_ && outstanding_ == 0 && out_.empty() && !writing_) close();
}

void Connection::close() {
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  tick_.cancel();
}

Result<asio::ip::tcp::endpoint> parse_endpoint(const std::string& text) {
  auto colon = text.rfind(':');
  boost::system::error_code error;
  unsigned port = 65536;
  if (colon == std::string::npos)
    return fail(Errc::invalid_argument, "no port in \"" + text + "\": write it as 127.0.0.1:5260");
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  auto address = asio::ip::make_address(text.substr(0, colon), error);
  if (error || port > 65535)
    return fail(Errc::invalid_argument, "\"" + text + "\" is no numeric address and port");
  return asio::ip::tcp::endpoint(address, static_cast<unsigned short>(port));
}

Result<void> Server::listen(const std::string& address) {
  if (address.starts_with("unix:")) return listen_unix(address.substr(5));
  if (address.starts_with("tcp:")) return listen_tcp(address.substr(4));
  return fail(Errc::invalid_argument, "\"" + address + "\" begins with neither unix: nor tcp:");
}

namespace {

// A socket file that nobody listens on is what a killed process leaves.
bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool yes = fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) ::close(fd);
  return yes;
}

}  // namespace

Result<void> Server::listen_unix(const std::string& path) {
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Errc::invalid_argument, "socket path of a bad length: " + path);
  if (somebody_listens(path)) return fail(Errc::in_use, path + ": another process listens there");
  ::unlink(path.c_str());
  boost::system::error_code error;
  auto acceptor = std::make_unique<asio::local::stream_protocol::acceptor>(io_);
  acceptor->open(asio::local::stream_protocol(), error);
  auto old = ::umask(0177);  // from the first moment on nobody else may connect
  if (!error) acceptor->bind(asio::local::stream_protocol::endpoint(path), error);
  ::umask(old);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(Errc::internal, path + ": " + error.message());
  paths_.push_back(path);
  addresses_.push_back("unix:" + path);
  listeners_.push_back({std::move(acceptor), nullptr});
  accept(listeners_.size() - 1);
  return {};
}

Result<void> Server::listen_tcp(const std::string& host_port) {
  auto endpoint = parse_endpoint(host_port);
  if (!endpoint) return fail(endpoint.error());
  boost::system::error_code error;
  auto acceptor = std::make_unique<asio::ip::tcp::acceptor>(io_);
  acceptor->open(endpoint->protocol(), error);
  if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor->bind(*endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(Errc::internal, "tcp:" + host_port + ": " + error.message());
  auto port = acceptor->local_endpoint(error).port();
  addresses_.push_back("tcp:" + endpoint->address().to_string() + ":" + std::to_string(port));
  listeners_.push_back({nullptr, std::move(acceptor)});
  accept(listeners_.size() - 1);
  return {};
}

void Server::accept(std::size_t index) {
  Listener& listener = listeners_[index];
  if (listener.accepting || listener.open >= kMostConnections) return;
  listener.accepting = true;
  // Shared with the handler alone: Asio wants the socket to stay where it is while it accepts.
  auto socket = std::make_shared<Connection::Socket>(io_);
  auto done = [this, index, socket](boost::system::error_code error) {
    if (error == asio::error::operation_aborted) return;
    listeners_[index].accepting = false;
    if (!error) {
      ++listeners_[index].open;
      std::make_shared<Connection>(*this, std::move(*socket), index)->read();
    }
    accept(index);
  };
  if (listener.local != nullptr)
    listener.local->async_accept(*socket, done);
  else
    listener.tcp->async_accept(*socket, done);
}

void Server::left(std::size_t index) {
  if (index >= listeners_.size()) return;
  --listeners_[index].open;
  if (listeners_[index].local != nullptr || listeners_[index].tcp != nullptr) accept(index);
}

void Server::stop() {
  for (auto& listener : listeners_) {
    boost::system::error_code ignored;
    if (listener.local != nullptr) listener.local->close(ignored);
    if (listener.tcp != nullptr) listener.tcp->close(ignored);
  }
  for (const auto& path : paths_) ::unlink(path.c_str());
}

}  // namespace vnvme::sim
