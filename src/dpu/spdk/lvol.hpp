// bdev_lvol_* : stores (pools) and volumes.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "dpu/spdk/bdev.hpp"

namespace vnvme::dpu::spdk {

inline constexpr std::size_t kLvolNameBytes = 63;

// 1 to 63 bytes of UTF-8 without control characters. bdev_lvol_rename itself checks nothing and cuts.
Result<void> check_lvol_name(std::string_view name);

Result<std::vector<Pool>> decode_lvstores(std::string_view result);
// bdev_lvol_get_lvols: sizes are not in it; allocations are, in clusters. Without `cluster`, the size of one,
// they stay unknown.
Result<std::vector<DpuVolume>> decode_lvols(std::string_view result, Bytes cluster = {});
// A full record; `pool` gives the name of the store (to be cut off the alias) and its cluster size.
Result<DpuVolume> volume_of(const Bdev& bdev, const Pool& pool);

Task<Result<std::vector<Pool>>> get_lvstores(Target& target, Deadline deadline);
Task<Result<PoolId>> create_lvstore(Target& target, CreatePool want, Keep lane, Deadline deadline);
Task<Result<void>> delete_lvstore(Target& target, PoolId pool, Keep lane, Deadline deadline);

Task<Result<std::vector<DpuVolume>>> get_lvols(Target& target, std::string store_name, Bytes cluster,
                                               Deadline deadline);
Task<Result<DpuVolumeId>> create_lvol(Target& target, CreateVolume want, std::string clear_method, Keep lane,
                                      Deadline deadline);
Task<Result<DpuVolumeId>> snapshot_lvol(Target& target, DpuVolumeId source, std::string name, Keep lane,
                                        Deadline deadline);
Task<Result<DpuVolumeId>> clone_lvol(Target& target, DpuVolumeId snapshot, std::string name, Keep lane,
                                     Deadline deadline);
// The caller has made sure, in the same lane, that it grows, or that it is trash that nobody has open.
Task<Result<void>> resize_lvol(Target& target, DpuVolumeId id, Bytes size, Keep lane, Deadline deadline);
Task<Result<void>> rename_lvol(Target& target, DpuVolumeId id, std::string name, Keep lane,
                               Deadline deadline);
// method: bdev_lvol_set_read_only, _inflate, _decouple_parent, _delete: they take a name only.
Task<Result<void>> simple_lvol(Target& target, std::string method, DpuVolumeId id, Keep lane,
                               Deadline deadline);

}  // namespace vnvme::dpu::spdk
