// The command line of vnvme-dpusim.
#pragma once
#include <string>
#include <vector>

#include "dpusim/target.hpp"

namespace vnvme::sim {

struct Options {
  Settings settings;
  std::vector<std::string> listen;
  std::string http, auth_file;
  std::uint64_t tick_ms = 0;
  int ready_fd = -1;
  bool help = false;
};

Result<Options> parse_options(const std::vector<std::string>& arguments);
std::string help_text();

}  // namespace vnvme::sim
