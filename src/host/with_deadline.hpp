// One deadline around an operation that obeys cancellation. Never around one that does not: the wait would
// then last as long as the operation.
#pragma once
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>
#include <utility>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::host {

template <class T>
Task<Result<T>> with_deadline(Task<Result<T>> work, Deadline deadline, std::string what) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto executor = co_await boost::asio::this_coro::executor;
  Timer timer(executor, deadline.at());
  auto wait = timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  auto first = co_await (std::move(work) || std::move(wait));
  if (first.index() == 0) co_return std::move(std::get<0>(first));
  co_return fail(Errc::timeout, what + ": the deadline passed", Outcome::unknown);
}

// Waits; true when the whole time passed before the deadline.
inline Task<bool> pause(MonoClock::duration time, Deadline deadline) {
  auto executor = co_await boost::asio::this_coro::executor;
  const bool whole = deadline.left() > time;
  Timer timer(executor, whole ? MonoClock::now() + time : deadline.at());
  co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  co_return whole;
}

}  // namespace vnvme::host
