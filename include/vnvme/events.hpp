// What happened lately, for people: a bounded ring that `vnvme events` shows.
// Not the log: only changes that an administrator cares about (a DPU was lost,
// a pool degraded, a volume was wiped), one sentence each, no secrets.
// Belongs to the daemon's loop: one thread only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace vnvme {

struct Event {
  std::uint64_t seq = 0;     // 1, 2, 3, ... since the daemon started; order is this, never the clock (P3)
  std::int64_t wall_ms = 0;  // Unix time in milliseconds
  std::string level;         // "info", "warning", "error"
  std::string object;        // what it is about: "volume 1b4e...", "dpu dpu0"; may be empty
  std::string text;
};

class EventLog {
 public:
  explicit EventLog(std::size_t capacity = 4096);
  // Object and text are made printable and cut (256 bytes, 2 KiB); a level that is not one of the three is
  // "info".
  void add(std::string_view level, std::string_view object, std::string_view text);
  // Events newer than seq, oldest first, at most max. since(0, n) begins with the oldest that is kept.
  [[nodiscard]] std::vector<Event> since(std::uint64_t seq, std::size_t max) const;
  // The newest max events, oldest first.
  [[nodiscard]] std::vector<Event> latest(std::size_t max) const;
  // seq of the newest event ever added; 0 when there was none.
  [[nodiscard]] std::uint64_t last() const { return last_; }

 private:
  std::size_t capacity_;
  std::uint64_t last_ = 0;
  std::deque<Event> ring_;
};

}  // namespace vnvme
