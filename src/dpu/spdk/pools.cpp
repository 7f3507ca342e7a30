// SpdkDpu: drives, RAIDs, pools.
#include <algorithm>

#include "dpu/spdk/spdk_dpu.hpp"

namespace vnvme::dpu::spdk {
namespace {

// Drives are claimed by RAIDs and stores: making and deleting those excludes one another.
const std::string kDriveLane = "drives";

Drive drive_of(const Bdev& bdev) {
  Drive d;
  d.name = bdev.name;
  d.model = bdev.model.empty() ? bdev.product : bdev.model;
  d.serial = bdev.serial;
  d.size = bdev.size;
  d.block_size = bdev.block_size;
  d.claimed = bdev.claimed;
  d.volatile_data = bdev.product == "Malloc disk" || bdev.product == "Null disk";
  return d;
}

// Which volumes have no children left: those can go first. Names are unique inside one pool.
std::vector<DpuVolume> leaves(const std::vector<DpuVolume>& volumes) {
  std::vector<DpuVolume> out;
  for (const auto& v : volumes) {
    bool parent =
        std::any_of(volumes.begin(), volumes.end(), [&v](const DpuVolume& o) { return o.parent == v.name; });
    if (!parent) out.push_back(v);
  }
  return out;
}

}  // namespace

Task<Result<std::vector<Drive>>> SpdkDpu::list_drives(Deadline deadline) {
  auto bdevs = co_await list_bdevs(target_, deadline);
  if (!bdevs) co_return fail(std::move(bdevs.error()));
  auto pools = co_await get_lvstores(target_, deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  auto raids = co_await get_raids(target_, deadline);
  if (!raids) co_return fail(std::move(raids.error()));
  std::map<std::string, std::string> used;
  for (const auto& raid : *raids)
    for (const auto& name : raid.drives) used[name] = raid.name;
  for (const auto& pool : *pools) used[pool.drive] = pool.name;
  std::vector<Drive> drives;
  for (const auto& bdev : *bdevs) {
    if (bdev.lvol) continue;
    auto drive = drive_of(bdev);
    if (auto user = used.find(drive.name); user != used.end()) {
      drive.used_by = user->second;
      drive.claimed = true;
    }
    drives.push_back(std::move(drive));
  }
  co_return drives;
}

Task<Result<std::vector<Raid>>> SpdkDpu::list_raids(Deadline deadline) {
  co_return co_await get_raids(target_, deadline);
}

Task<Result<void>> SpdkDpu::create_raid(CreateRaid want, Deadline deadline) {
  if (want.name.empty() || want.drives.empty())
    co_return fail(Errc::invalid_argument, "a RAID needs a name and drives");
  auto lane = co_await target_.lane(kDriveLane, "creating RAID " + want.name, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto bdevs = co_await list_bdevs(target_, deadline);
  if (!bdevs) co_return fail(std::move(bdevs.error()));
  // With a missing base SPDK answers `true` and waits for it without end.
  for (const auto& name : want.drives) {
    auto is = [&name](const Bdev& b) { return b.name == name; };
    if (std::none_of(bdevs->begin(), bdevs->end(), is))
      co_return target_.refuse(Errc::not_found, "bdev_raid_create", "the DPU has no drive \"" + name + "\"");
  }
  co_return co_await spdk::create_raid(target_, std::move(want), std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::delete_raid(std::string name, Deadline deadline) {
  auto lane = co_await target_.lane(kDriveLane, "deleting RAID " + name, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  // The pool above would vanish with all its volumes, without a word.
  auto pools = co_await get_lvstores(target_, deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  for (const auto& pool : *pools)
    if (pool.drive == name)
      co_return target_.refuse(Errc::in_use, "bdev_raid_delete",
                               "RAID \"" + name + "\" carries pool \"" + pool.name + "\"");
  co_return co_await spdk::delete_raid(target_, std::move(name), std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::settle(Deadline deadline) {
  co_return co_await wait_for_examine(target_, deadline);
}

Task<Result<std::vector<Pool>>> SpdkDpu::list_pools(Deadline deadline) {
  co_return co_await get_lvstores(target_, deadline);
}

Task<Result<PoolId>> SpdkDpu::create_pool(CreatePool want, Deadline deadline) {
  auto name = check_lvol_name(want.name);
  if (!name) co_return fail(std::move(name.error()));
  if (want.name.find('/') != std::string::npos)
    co_return fail(Errc::invalid_argument,
                   "a pool's name must not have a \"/\": volumes are called pool/volume");
  auto lane = co_await target_.lane(kDriveLane, "creating pool " + want.name, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await create_lvstore(target_, std::move(want), std::move(*lane), deadline);
}

// A lane outlives the call that took it, as long as the target may still be at work on what it sent.
Task<Result<void>> SpdkDpu::quiet(PoolId pool, Deadline deadline) {
  std::string lane = pool.empty() ? std::string(kDriveLane) : "store " + pool.str();
  auto free = co_await target_.lane(std::move(lane), "a look at what became of a change", deadline);
  if (!free) co_return fail(std::move(free.error()));
  co_return Result<void>();
}

// v23.01 was seen to die when a store with snapshots and clones was deleted whole: there volumes go first.
Task<Result<bool>> SpdkDpu::empty_pool(PoolId pool, Keep lane, Deadline deadline) {
  const std::string method = "bdev_lvol_delete";
  bool changed = false;
  auto give_up = [&changed](Error error) {
    if (changed) error.outcome = Outcome::unknown;
    return fail(std::move(error));
  };
  while (true) {
    auto volumes = co_await list_volumes(pool, deadline);
    if (!volumes) co_return give_up(std::move(volumes.error()));
    if (volumes->empty()) co_return changed;
    auto first = leaves(*volumes);
    if (first.empty())
      co_return fail(Errc::conflict, "the volumes of pool " + pool.str() + " depend on each other in a ring");
    for (const auto& volume : first) {
      auto gone = co_await simple_lvol(target_, method, volume.id, lane, deadline);
      if (!gone) co_return give_up(std::move(gone.error()));
      changed = true;
    }
  }
}

Task<Result<void>> SpdkDpu::delete_pool(PoolId pool, Deadline deadline) {
  auto drives = co_await target_.lane(kDriveLane, "deleting pool " + pool.str(), deadline);
  if (!drives) co_return fail(std::move(drives.error()));
  auto lane = co_await pool_lane(pool, "deleting the pool", deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  bool changed = false;
  if (!target_.dialect().lvol_listing) {
    auto emptied = co_await empty_pool(pool, *lane, deadline);
    if (!emptied) co_return fail(std::move(emptied.error()));
    changed = *emptied;
  }
  auto deleted = co_await delete_lvstore(target_, pool, *lane, deadline);
  if (!deleted && changed) deleted.error().outcome = Outcome::unknown;
  co_return deleted;
}

}  // namespace vnvme::dpu::spdk
