#include "daemon/stream.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace vnvme::daemon {
namespace {

constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);

tl::unexpected<Error> lost(const boost::system::error_code& why) {
  if (why == boost::asio::error::eof) return fail(Errc::unreachable, "the peer closed the connection");
  return fail(Errc::unreachable, "the connection was lost: " + why.message());
}

}  // namespace

Stream::Stream(Socket socket) : socket_(std::move(socket)), timer_(socket_.get_executor()) {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
}

Task<Result<std::size_t>> Stream::read_some(char* into, std::size_t most, Deadline deadline) {
  using namespace boost::asio::experimental::awaitable_operators;
  // Most frames are there already: then neither the reactor nor a timer is needed.
  boost::system::error_code error;
  std::size_t n = socket_.read_some(boost::asio::buffer(into, most), error);
  if (!error) co_return n;
  if (error != boost::asio::error::would_block) co_return lost(error);
  timer_.expires_at(deadline.at());
  auto first = co_await (socket_.async_read_some(boost::asio::buffer(into, most), kToken) ||
                         timer_.async_wait(kToken));
  if (first.index() == 1) co_return fail(Errc::timeout, "the peer sent nothing in time");
  auto [why, length] = std::get<0>(first);
  if (why) co_return lost(why);
  co_return length;
}

Task<Result<void>> Stream::read_exact(char* into, std::size_t length, Deadline deadline) {
  std::size_t have = 0;
  while (have < length) {
    auto n = co_await read_some(into + have, length - have, deadline);
    if (!n) co_return fail(n.error());
    have += *n;
  }
  co_return Result<void>{};
}

Task<Result<void>> Stream::write_all(std::string_view data, Deadline deadline) {
  using namespace boost::asio::experimental::awaitable_operators;
  while (!data.empty()) {
    boost::system::error_code error;
    std::size_t n = socket_.write_some(boost::asio::buffer(data.data(), data.size()), error);
    data.remove_prefix(n);
    if (!error) continue;
    if (error != boost::asio::error::would_block) co_return lost(error);
    timer_.expires_at(deadline.at());
    auto first = co_await (socket_.async_wait(Socket::wait_write, kToken) || timer_.async_wait(kToken));
    if (first.index() == 1) co_return fail(Errc::timeout, "the peer does not take the answer");
    auto [why] = std::get<0>(first);
    if (why) co_return lost(why);
  }
  co_return Result<void>{};
}

std::optional<uid_t> Stream::peer_uid() {
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return std::nullopt;
  return who.uid;
}

bool Stream::peer_gone() {
  char byte = 0;
  ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void Stream::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
}

bool root_or_self(uid_t uid) {
  return uid == 0 || uid == ::geteuid();
}

}  // namespace vnvme::daemon
