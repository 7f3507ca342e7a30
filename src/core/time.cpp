#include "vnvme/time.hpp"

namespace vnvme {
namespace {
bool g_manual = false;
MonoClock::time_point g_now{};
}  // namespace

MonoClock::time_point MonoClock::now() noexcept {
  if (g_manual) return g_now;
  return time_point(
      std::chrono::duration_cast<duration>(std::chrono::steady_clock::now().time_since_epoch()));
}
void MonoClock::take_over() noexcept {
  g_now = now();
  g_manual = true;
}
void MonoClock::advance(duration by) noexcept {
  g_now += by;
}
void MonoClock::release() noexcept {
  g_manual = false;
}
bool MonoClock::manual() noexcept {
  return g_manual;
}

}  // namespace vnvme
