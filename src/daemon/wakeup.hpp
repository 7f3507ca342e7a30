// Coroutines that wait for "something changed". Each looks again afterwards:
// a wake-up is a hint, never a message, so none can be lost.
#pragma once
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

#include "vnvme/time.hpp"

namespace vnvme::daemon {

class Wakeup {
 public:
  explicit Wakeup(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Completes at the next notify(), or at the deadline.
  Task<void> wait(Deadline deadline) {
    Timer timer(executor_, deadline.at());
    waiting_.push_back(&timer);
    co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    std::erase(waiting_, &timer);
  }
  void notify() {
    for (Timer* t : waiting_) t->cancel();
  }

 private:
  boost::asio::any_io_executor executor_;
  std::vector<Timer*> waiting_;
};

}  // namespace vnvme::daemon
