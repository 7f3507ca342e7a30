// The simulator's own finder of a value's end: it never looks beyond the text, and agrees with itself on
// less.
#include "dpusim/scan.hpp"

#include "core/json.hpp"
#include "fuzz/fuzz.hpp"

using vnvme::fuzz::require;
using vnvme::sim::Scan;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = vnvme::fuzz::text(data, size);
  const auto scan = vnvme::sim::scan_value(text, 32, 1024);
  if (scan.state != Scan::State::complete) return 0;
  require(scan.begin < scan.end && scan.end <= text.size(), "a value lies within its text");
  const auto alone = vnvme::sim::scan_value(text.substr(0, scan.end), 32, 1024);
  require(alone.state == Scan::State::complete && alone.begin == scan.begin && alone.end == scan.end,
          "what follows a value does not change it");
  return 0;
}
