#include "vnvme/events.hpp"

#include <algorithm>
#include <chrono>

#include "core/text.hpp"

namespace vnvme {

EventLog::EventLog(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 1)) {}

void EventLog::add(std::string_view level, std::string_view object, std::string_view text) {
  bool known = level == "info" || level == "warning" || level == "error";
  auto now = std::chrono::system_clock::now().time_since_epoch();
  if (ring_.size() == capacity_) ring_.pop_front();
  ring_.push_back({++last_, std::chrono::duration_cast<std::chrono::milliseconds>(now).count(),
                   std::string(known ? level : "info"), printable(object, 256), printable(text, 2048)});
}

std::vector<Event> EventLog::since(std::uint64_t seq, std::size_t max) const {
  // seqs are consecutive, so the place of the first newer one is arithmetic
  std::uint64_t gone = last_ - ring_.size();
  std::uint64_t skip = seq > gone ? std::min<std::uint64_t>(seq - gone, ring_.size()) : 0;
  auto first = ring_.begin() + static_cast<std::ptrdiff_t>(skip);
  auto count = std::min<std::uint64_t>(ring_.size() - skip, max);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

std::vector<Event> EventLog::latest(std::size_t max) const {
  return since(last_ > max ? last_ - max : 0, max);
}

}  // namespace vnvme
