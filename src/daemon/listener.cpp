#include "daemon/listener.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/log.hpp"

namespace vnvme::daemon {
namespace {
constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr auto kRetryAccept = std::chrono::milliseconds(100);
constexpr auto kLongWait = std::chrono::hours(1);
}  // namespace

Listener::Listener(Executor executor, Fd socket, std::string name, std::size_t most, Serve serve)
    : acceptor_(executor), name_(std::move(name)), most_(most), serve_(std::move(serve)), changed_(executor) {
  boost::system::error_code error;
  acceptor_.assign(boost::asio::local::stream_protocol(), socket.get(), error);
  if (!error) (void)socket.release();
}

void Listener::start() {
  accepting_ = true;
  boost::asio::co_spawn(
      acceptor_.get_executor(),
      [this]() -> Task<void> {
        co_await accept_loop();
        accepting_ = false;
        changed_.notify();
      },
      boost::asio::detached);
}

void Listener::stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  changed_.notify();
}

void Listener::close_all() {
  for (Stream& s : streams_) s.close();
}

Task<bool> Listener::drained(Deadline deadline) {
  while (accepting_ || !streams_.empty()) {
    if (deadline.passed()) co_return false;
    co_await changed_.wait(deadline);
  }
  co_return true;
}

void Listener::spawn(Socket socket) {
  auto place = streams_.emplace(streams_.end(), std::move(socket));
  boost::asio::co_spawn(
      acceptor_.get_executor(),
      [this, place]() -> Task<void> {
        co_await serve_(*place);
        streams_.erase(place);
        changed_.notify();
      },
      boost::asio::detached);
}

Task<void> Listener::accept_loop() {
  bool told = false;
  while (!stopping_) {
    if (streams_.size() >= most_) {
      co_await changed_.wait(Deadline::after(kLongWait));
      continue;
    }
    auto [error, socket] = co_await acceptor_.async_accept(kToken);
    if (stopping_) co_return;
    if (!error) {
      told = false;
      spawn(std::move(socket));
      continue;
    }
    if (error == boost::asio::error::connection_aborted || error == boost::asio::error::interrupted) continue;
    if (!told)
      log::error("cannot accept connections; retrying", {{"socket", name_}, {"why", error.message()}});
    told = true;
    co_await changed_.wait(Deadline::after(kRetryAccept));
  }
}

}  // namespace vnvme::daemon
