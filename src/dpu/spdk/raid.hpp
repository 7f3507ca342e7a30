// bdev_raid_*
#pragma once
#include <vector>

#include "dpu/spdk/target.hpp"
#include "vnvme/dpu.hpp"

namespace vnvme::dpu::spdk {

// Both forms of base_bdevs_list: strings and null (v23.01), objects (v26.05). A mere name (Kalray) gives a
// record with nothing else in it.
Result<std::vector<Raid>> decode_raids(std::string_view result);

Task<Result<std::vector<Raid>>> get_raids(Target& target, Deadline deadline);
// A base that does not exist would be answered with `true`, and waited for without end: the caller checks
// them.
Task<Result<void>> create_raid(Target& target, CreateRaid want, Keep lane, Deadline deadline);
Task<Result<void>> delete_raid(Target& target, std::string name, Keep lane, Deadline deadline);

}  // namespace vnvme::dpu::spdk
