// Finds where a JSON value ends in a stream without framing, as SPDK's incremental parser does.
#pragma once
#include <cstddef>
#include <string_view>

namespace vnvme::sim {

struct Scan {
  enum class State { incomplete, complete, broken } state = State::incomplete;
  std::size_t begin = 0;         // first byte of the value
  std::size_t end = 0;           // one past its last byte
  bool repeated_member = false;  // a key of the outermost object came twice
};

// Bounded by the text given, max_depth and max_values (counted as SPDK counts: names and both ends of an
// object or array are values of their own).
Scan scan_value(std::string_view text, std::size_t max_depth, std::size_t max_values);

}  // namespace vnvme::sim
