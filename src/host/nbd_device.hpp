// A block device behind an NBD server on a unix socket: the simulator's, or qemu-nbd.
#pragma once
#include <memory>
#include <string>

#include "vnvme/host.hpp"

namespace vnvme::host {

// Connects and opens the default export.
Task<Result<std::unique_ptr<BlockDevice>>> open_nbd(std::string path, Deadline deadline);

}  // namespace vnvme::host
