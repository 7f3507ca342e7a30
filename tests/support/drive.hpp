// Runs a coroutine to its end on an io_context whose clock stands still, and
// moves the clock only when nothing else is left to do. No test sleeps.
#pragma once
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <optional>

#include "vnvme/time.hpp"

namespace vnvme::test {

// Takes the clock over for the life of a test.
struct StillClock {
  StillClock() { MonoClock::take_over(); }
  ~StillClock() { MonoClock::release(); }
  StillClock(const StillClock&) = delete;
  StillClock& operator=(const StillClock&) = delete;
};

// Everything that can happen now, without moving the clock.
inline void settle(boost::asio::io_context& io) {
  for (int i = 0; i < 10'000; ++i) {
    io.restart();
    if (io.poll() == 0) return;
  }
  ADD_FAILURE() << "the io_context never comes to rest";
}

// The result of make(), or nothing when it has not ended after `limit` of simulated time.
template <class T>
std::optional<T> drive(boost::asio::io_context& io, std::function<Task<T>()> make,
                       MonoClock::duration limit = std::chrono::minutes(10),
                       MonoClock::duration tick = std::chrono::milliseconds(50)) {
  std::optional<T> out;
  bool failed = false;
  boost::asio::co_spawn(io, make, [&out, &failed](std::exception_ptr error, T value) {
    if (error)
      failed = true;
    else
      out = std::move(value);
  });
  auto end = MonoClock::now() + limit;
  while (!out && !failed) {
    settle(io);
    if (out || failed || MonoClock::now() >= end) break;
    MonoClock::advance(tick);
  }
  EXPECT_FALSE(failed) << "an exception left a coroutine";
  return out;
}

}  // namespace vnvme::test
