// bdev_* : block devices of the target, whatever their kind.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dpu/spdk/target.hpp"
#include "vnvme/dpu.hpp"

namespace vnvme::dpu::spdk {

struct LvolInfo {
  PoolId store;
  bool thin = false, snapshot = false;
  std::optional<std::uint64_t> allocated_clusters;  // v23.01 does not tell
  std::string base_snapshot;                        // names inside the store, not uuids
  std::vector<std::string> clones;
};

struct Bdev {
  std::string name;  // of an lvol: its uuid
  std::vector<std::string> aliases;
  std::string product;
  Bytes size;
  std::uint32_t block_size = 0;
  bool claimed = false;
  bool writable = true;
  std::uint64_t rw_ios_per_sec = 0, rw_mbytes_per_sec = 0;  // assigned limits
  std::string model, serial;                                // of an NVMe drive
  std::optional<LvolInfo> lvol;
};

// Strict on what matters: name and size, and of an lvol its store. An error fails the whole listing, because
// a record left out would say that the object is absent (I2).
Result<Bdev> decode_bdev(std::string_view json);
Result<void> decode_bdevs(std::string_view result, const std::function<Result<void>(Bdev)>& each);

Task<Result<std::vector<Bdev>>> list_bdevs(Target& target, Deadline deadline);
// By name, alias or uuid. Nothing when the target said "No such device".
Task<Result<std::optional<Bdev>>> find_bdev(Target& target, std::string name, Deadline deadline);
Task<Result<void>> wait_for_examine(Target& target, Deadline deadline);
Task<Result<IoStat>> get_iostat(Target& target, std::string name, Deadline deadline);
// 0 = no limit. iops is rounded up to a multiple of 1000, as SPDK does.
Task<Result<void>> set_qos_limit(Target& target, std::string name, std::uint64_t iops,
                                 std::uint64_t mib_per_s, Keep lane, Deadline deadline);

}  // namespace vnvme::dpu::spdk
