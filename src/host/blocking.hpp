// Calls that block, on a small pool of threads. A caller waits for his deadline at most; a call that hangs
// keeps its thread, so what can hang for ever (writes to sysfs) runs in a process of its own instead
// (helper.hpp).
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::host {

// `work` is called on the pool and must own all that it touches: after the deadline it may still run when its
// caller has gone. The caller's executor is one thread.
template <class T, class Work>
Task<Result<T>> run_blocking(boost::asio::thread_pool& pool, Deadline deadline, std::string what, Work work) {
  struct Call {
    explicit Call(const boost::asio::any_io_executor& executor) : timer(executor) {}
    Timer timer;
    std::optional<Result<T>> answer;
  };
  auto executor = co_await boost::asio::this_coro::executor;
  // Shared by the waiting coroutine and the call, because either may be the last to need it.
  auto call = std::make_shared<Call>(executor);
  call->timer.expires_at(deadline.at());
  auto job = [call, work = std::move(work), guard = boost::asio::make_work_guard(executor)]() mutable {
    auto answer = work();
    auto back = guard.get_executor();
    boost::asio::post(back, [call = std::move(call), answer = std::move(answer)]() mutable {
      call->answer = std::move(answer);
      call->timer.cancel();
    });
    guard.reset();
  };
  boost::asio::post(pool, std::move(job));
  co_await call->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  if (call->answer) co_return std::move(*call->answer);
  co_return fail(Errc::timeout, what + ": the deadline passed", Outcome::unknown);
}

}  // namespace vnvme::host
