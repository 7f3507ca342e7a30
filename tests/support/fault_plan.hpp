// Makes exactly one step of a run fail, in a chosen way. Every fake (DPU,
// store, host) asks the plan before and after each of its effects, so that a
// test can walk through all steps of an operation: n = 0, 1, 2, ... until no
// step was hit any more (families F1 and F2).
#pragma once
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <string>
#include <vector>

#include "service/lane.hpp"
#include "vnvme/result.hpp"

namespace vnvme::test {

enum class FaultKind {
  none,
  error,         // refused: certainly not done
  lost_before,   // no answer, and it did not happen
  lost_after,    // no answer, but it happened
  crash_before,  // the daemon dies before the effect
  crash_after,   // the daemon dies after the effect, before it learned of it
  lost_late,     // no answer, and the effect comes later
  crash_late,    // the daemon dies, and the effect comes when the next one has already looked
};

struct Fault {
  FaultKind kind = FaultKind::none;
  Errc code = Errc::io;
};

class FaultPlan {
 public:
  void arm(std::size_t at, Fault fault) {
    next_ = 0;
    at_ = at;
    fault_ = fault;
    armed_ = true;
    hit_ = crashed_ = false;
    where_.clear();
  }
  void disarm() { armed_ = false; }
  [[nodiscard]] bool hit() const { return hit_; }
  [[nodiscard]] bool crashed() const { return crashed_; }
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] std::size_t steps() const { return next_; }
  void revive() { crashed_ = false; }

  Fault next(const std::string& what) {
    if (!armed_ || next_++ != at_) return {};
    hit_ = true;
    where_ = what;
    return fault_;
  }
  void crash() { crashed_ = true; }
  // Effects that are still on their way; the test lets them happen.
  std::vector<std::function<void()>> late;

 private:
  std::size_t next_ = 0, at_ = 0;
  Fault fault_;
  bool armed_ = false, hit_ = false, crashed_ = false;
  std::string where_;
};

// Runs `effect` (which returns a Result) as one step of the plan, in a turn of its own.
template <class Effect>
auto run_step(FaultPlan& plan, std::string what, Effect effect) -> Task<decltype(effect())> {
  namespace asio = boost::asio;
  co_await asio::post(asio::use_awaitable);
  // A dead daemon does nothing any more, whatever its frames had planned.
  while (plan.crashed()) co_await service::pause_for(std::chrono::hours(1000));
  Fault fault = plan.next(what);
  if (fault.kind == FaultKind::error)
    co_return fail(Error{fault.code, Outcome::not_done, "made to fail", what});
  if (fault.kind == FaultKind::lost_before)
    co_return fail(Error{Errc::timeout, Outcome::unknown, "answer lost", what});
  bool late = fault.kind == FaultKind::lost_late || fault.kind == FaultKind::crash_late;
  if (late) plan.late.push_back([effect]() mutable { (void)effect(); });
  if (fault.kind == FaultKind::lost_late)
    co_return fail(Error{Errc::timeout, Outcome::unknown, "answer lost", what});
  if (fault.kind == FaultKind::crash_before || fault.kind == FaultKind::crash_late) plan.crash();
  while (plan.crashed()) co_await service::pause_for(std::chrono::hours(1000));
  auto result = effect();
  if (fault.kind == FaultKind::lost_after)
    co_return fail(Error{Errc::timeout, Outcome::unknown, "answer lost", what});
  if (fault.kind == FaultKind::crash_after) plan.crash();
  while (plan.crashed()) co_await service::pause_for(std::chrono::hours(1000));
  co_return result;
}

}  // namespace vnvme::test
