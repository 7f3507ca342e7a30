// Who still needs vnvme on this host, read from the state file by somebody
// who is not the daemon: asked before the package is removed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "vnvme/result.hpp"

namespace vnvme::state {

struct AttachedSr {
  std::string id, name;
  std::int64_t volumes = 0;  // attached to a VM or to dom0
};

// Changes nothing, also while the daemon runs. A file that is not there has none; one that cannot be read is
// an error.
Result<std::vector<AttachedSr>> attached_srs(const std::string& path);

}  // namespace vnvme::state
