// Deadlines use the monotonic clock (P3), and every await has one. The clock
// can be taken over by a test: then time stands still until the test moves it.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

namespace vnvme {

template <class T>
using Task = boost::asio::awaitable<T>;

struct MonoClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonoClock, duration>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;

  // Tests only, single-threaded programs only. take_over() stops the clock;
  // advance() moves it; release() goes back to the kernel's CLOCK_MONOTONIC.
  static void take_over() noexcept;
  static void advance(duration by) noexcept;
  static void release() noexcept;
  static bool manual() noexcept;
};

struct MonoWaitTraits {
  // Under a manual clock the reactor must not sleep: io.poll() looks again.
  static MonoClock::duration to_wait_duration(const MonoClock::duration& d) {
    return MonoClock::manual() ? MonoClock::duration::zero() : d;
  }
  static MonoClock::duration to_wait_duration(const MonoClock::time_point& t) {
    return to_wait_duration(t - MonoClock::now());
  }
};

using Timer = boost::asio::basic_waitable_timer<MonoClock, MonoWaitTraits>;

class Deadline {
 public:
  explicit Deadline(MonoClock::time_point at) : at_(at) {}
  static Deadline after(MonoClock::duration d) { return Deadline(MonoClock::now() + d); }
  [[nodiscard]] MonoClock::time_point at() const { return at_; }
  [[nodiscard]] bool passed() const { return MonoClock::now() >= at_; }
  [[nodiscard]] MonoClock::duration left() const {
    auto now = MonoClock::now();
    return at_ > now ? at_ - now : MonoClock::duration::zero();
  }
  // The earlier of this one and now + d.
  [[nodiscard]] Deadline capped(MonoClock::duration d) const {
    auto other = MonoClock::now() + d;
    return Deadline(at_ < other ? at_ : other);
  }

 private:
  MonoClock::time_point at_;
};

}  // namespace vnvme
