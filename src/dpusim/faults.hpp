// Rules by which answers go wrong, set by control calls.
#pragma once
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "dpusim/rpc.hpp"

namespace vnvme::sim {

struct Fault {
  std::string method;       // or "*"
  std::uint64_t nth = 1;    // which call from now on is the first that is hit
  std::uint64_t times = 1;  // how many in a row; 0: all that follow
  std::string action;
  std::int64_t code = -5;
  std::string message = "Input/output error";
  std::uint64_t delay_ms = 1000;
  std::string field;
};

class Faults {
 public:
  static constexpr std::size_t kMost = 1000;
  Reply add(const Json* params);
  void clear() { rules_.clear(); }
  // Counts the call; gives the rule that hits it, if any.
  std::optional<Fault> hit(const std::string& method);
  [[nodiscard]] Json json() const;
  [[nodiscard]] std::uint64_t hits() const { return hits_; }

 private:
  std::list<Fault> rules_;
  std::uint64_t hits_ = 0;
};

// What goes onto the wire instead of `answer` (one line, with its newline). Several pieces are several
// writes.
struct Mangled {
  std::vector<std::string> writes;
  bool close = false;
  std::string http = {};  // what only HTTP can do: "status_401", "status_500", "chunked"
};
Mangled mangle(const Fault& fault, const std::string& answer);

}  // namespace vnvme::sim
