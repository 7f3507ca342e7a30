// SpdkDpu: volumes.
#include "core/text.hpp"
#include "dpu/spdk/spdk_dpu.hpp"

namespace vnvme::dpu::spdk {

Task<Result<std::vector<DpuVolume>>> SpdkDpu::list_volumes(PoolId pool, Deadline deadline) {
  auto pools = co_await get_lvstores(target_, deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  std::map<PoolId, Pool> by_id;
  for (auto& one : *pools)
    if (pool.empty() || one.id == pool) by_id.emplace(one.id, one);
  // A pool that is not there has no empty list of volumes: it has none that we know of.
  if (!pool.empty() && by_id.empty())
    co_return target_.refuse(Errc::not_found, "bdev_lvol_get_lvstores", "the DPU has no pool " + pool.str());
  Step step{.method = "bdev_get_bdevs", .cap = kListCall};
  auto answer = co_await target_.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  std::vector<DpuVolume> volumes;
  auto decoded = decode_bdevs(answer->result(), [this, &volumes, &by_id, &pool](Bdev bdev) -> Result<void> {
    if (!bdev.lvol) return {};
    auto owner = by_id.find(bdev.lvol->store);
    if (owner == by_id.end()) {
      if (!pool.empty()) return {};
      return fail(Errc::protocol,
                  "lvol " + bdev.name + " of a store that is not listed (it changed meanwhile)");
    }
    auto volume = volume_of(bdev, owner->second);
    if (!volume) return fail(std::move(volume.error()));
    remember(volume->id, volume->pool);
    volumes.push_back(std::move(*volume));
    return {};
  });
  if (!decoded) co_return fail(target_.unreadable(step, std::move(decoded.error()), Outcome::not_done));
  co_return volumes;
}

Task<Result<std::vector<DpuVolume>>> SpdkDpu::list_volume_names(PoolId pool, Deadline deadline) {
  if (!target_.dialect().lvol_listing) co_return co_await list_volumes(std::move(pool), deadline);
  std::string store;
  Bytes cluster;
  if (!pool.empty()) {
    auto found = co_await find_pool(pool, deadline);
    if (!found) co_return fail(std::move(found.error()));
    store = found->name;
    cluster = found->cluster;
  }
  auto volumes = co_await get_lvols(target_, store, cluster, deadline);
  if (!volumes) co_return fail(std::move(volumes.error()));
  for (const auto& volume : *volumes) remember(volume.id, volume.pool);
  co_return volumes;
}

Task<Result<std::optional<DpuVolume>>> SpdkDpu::find_volume(PoolId pool, std::string name,
                                                            Deadline deadline) {
  auto legal = check_lvol_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  // The pool is looked up in any case: "lvs/name" is absent also while its store is not loaded, and that is
  // no positive answer (I2).
  auto found = co_await find_pool(pool, deadline);
  if (!found) co_return fail(std::move(found.error()));
  auto bdev = co_await find_bdev(target_, found->name + "/" + name, deadline);
  if (!bdev) co_return fail(std::move(bdev.error()));
  if (!*bdev) co_return std::optional<DpuVolume>();
  auto volume = volume_of(**bdev, *found);
  if (!volume)
    co_return fail(target_.unreadable({.method = "bdev_get_bdevs", .object = name}, std::move(volume.error()),
                                      Outcome::not_done));
  remember(volume->id, volume->pool);
  co_return std::optional<DpuVolume>(std::move(*volume));
}

Task<Result<std::optional<DpuVolume>>> SpdkDpu::find_volume(DpuVolumeId id, Deadline deadline) {
  if (!parse_uuid(id.str()))
    co_return fail(Errc::invalid_argument,
                   "a volume of the DPU is named by its uuid, not \"" + printable(id.str(), 64) + "\"");
  auto bdev = co_await find_bdev(target_, id.str(), deadline);
  if (!bdev) co_return fail(std::move(bdev.error()));
  if (!*bdev) {
    // Absent together with its pool: the pool is not loaded, so nobody knows about the volume.
    auto known = pool_of_.find(id);
    if (known == pool_of_.end()) co_return std::optional<DpuVolume>();
    auto pool = co_await find_pool(known->second, deadline);
    if (!pool) co_return fail(std::move(pool.error()));
    co_return std::optional<DpuVolume>();
  }
  // A namespace or drive may have a uuid as well; it is no volume.
  if (!(*bdev)->lvol) co_return std::optional<DpuVolume>();
  auto pool = co_await find_pool((*bdev)->lvol->store, deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  auto volume = volume_of(**bdev, *pool);
  if (!volume)
    co_return fail(target_.unreadable({.method = "bdev_get_bdevs", .object = id.str()},
                                      std::move(volume.error()), Outcome::not_done));
  remember(volume->id, volume->pool);
  co_return std::optional<DpuVolume>(std::move(*volume));
}

namespace {

// SPDK remembers it with the lvol and applies it when that is deleted, to its own clusters only. Without
// write_zeroes deleted data shows through in new volumes (seen on a drive without working unmap).
std::string clear_method_of(Clear clear) {
  return clear == Clear::zero ? "write_zeroes" : clear == Clear::unmap ? "unmap" : "none";
}

}  // namespace

Task<Result<DpuVolumeId>> SpdkDpu::create_volume(CreateVolume want, Deadline deadline) {
  auto legal = check_lvol_name(want.name);
  if (!legal) co_return fail(std::move(legal.error()));
  if (want.size > kMaxBytes) co_return fail(Errc::invalid_argument, "a size beyond 8 EiB");
  auto pool = want.pool;
  auto lane = co_await pool_lane(pool, "creating volume " + want.name, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  std::string clear = clear_method_.empty() ? clear_method_of(want.clear) : clear_method_;
  auto made = co_await create_lvol(target_, std::move(want), std::move(clear), std::move(*lane), deadline);
  if (made) remember(*made, pool);
  co_return made;
}

Task<Result<DpuVolumeId>> SpdkDpu::snapshot_volume(DpuVolumeId source, std::string name, Deadline deadline) {
  auto legal = check_lvol_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  auto pool = co_await pool_of(source, deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  auto lane = co_await pool_lane(*pool, "taking snapshot " + name, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto made = co_await snapshot_lvol(target_, std::move(source), std::move(name), std::move(*lane), deadline);
  if (made) remember(*made, *pool);
  co_return made;
}

Task<Result<DpuVolumeId>> SpdkDpu::clone_volume(DpuVolumeId snapshot, std::string name, Deadline deadline) {
  auto legal = check_lvol_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  auto pool = co_await pool_of(snapshot, deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  auto lane = co_await pool_lane(*pool, "making clone " + name, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto made = co_await clone_lvol(target_, std::move(snapshot), std::move(name), std::move(*lane), deadline);
  if (made) remember(*made, *pool);
  co_return made;
}

Task<Result<void>> SpdkDpu::resize_volume(DpuVolumeId id, Bytes size, Deadline deadline) {
  if (size > kMaxBytes) co_return fail(Errc::invalid_argument, "a size beyond 8 EiB");
  auto lane = co_await volume_lane(id, "growing volume " + id.str(), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  // Looked up inside the lane: a shrink must never reach the target, which would truncate and then say busy.
  auto now = co_await find_bdev(target_, id.str(), deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (!*now || !(*now)->lvol)
    co_return target_.refuse(Errc::not_found, "bdev_get_bdevs", "the DPU has no volume " + id.str());
  if (size < (*now)->size)
    co_return fail(Errc::invalid_argument, "a volume never shrinks: it has " +
                                               std::to_string((*now)->size.value) + " bytes, asked were " +
                                               std::to_string(size.value));
  if (size == (*now)->size) co_return Result<void>();
  co_return co_await resize_lvol(target_, std::move(id), size, std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::shrink_volume(DpuVolumeId id, Bytes size, Deadline deadline) {
  auto lane = co_await volume_lane(id, "erasing the end of volume " + id.str(), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto now = co_await find_bdev(target_, id.str(), deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (!*now || !(*now)->lvol)
    co_return target_.refuse(Errc::not_found, "bdev_get_bdevs", "the DPU has no volume " + id.str());
  if ((*now)->claimed)
    co_return target_.refuse(Errc::in_use, "bdev_get_bdevs",
                             "volume " + id.str() + " is in use and is not cut down");
  // A resize to the same or a larger size is somebody's growing volume, not this call's business.
  if (size >= (*now)->size) co_return Result<void>();
  co_return co_await resize_lvol(target_, std::move(id), size, std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::rename_volume(DpuVolumeId id, std::string name, Deadline deadline) {
  auto legal = check_lvol_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  auto lane = co_await volume_lane(id, "renaming volume " + id.str(), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await rename_lvol(target_, std::move(id), std::move(name), std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::simple(std::string method, DpuVolumeId id, Deadline deadline) {
  std::string what = method + " of " + id.str();
  auto lane = co_await volume_lane(id, std::move(what), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await simple_lvol(target_, std::move(method), std::move(id), std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::set_read_only(DpuVolumeId id, Deadline deadline) {
  std::string method = "bdev_lvol_set_read_only";
  co_return co_await simple(std::move(method), std::move(id), deadline);
}
Task<Result<void>> SpdkDpu::inflate_volume(DpuVolumeId id, Deadline deadline) {
  std::string method = "bdev_lvol_inflate";
  co_return co_await simple(std::move(method), std::move(id), deadline);
}
Task<Result<void>> SpdkDpu::decouple_volume(DpuVolumeId id, Deadline deadline) {
  std::string method = "bdev_lvol_decouple_parent";
  co_return co_await simple(std::move(method), std::move(id), deadline);
}
Task<Result<void>> SpdkDpu::delete_volume(DpuVolumeId id, Deadline deadline) {
  std::string method = "bdev_lvol_delete";
  co_return co_await simple(std::move(method), std::move(id), deadline);
}

Task<Result<void>> SpdkDpu::set_qos(DpuVolumeId id, std::uint64_t iops, std::uint64_t mib_per_s,
                                    Deadline deadline) {
  if (iops > UINT64_MAX - 999 || mib_per_s > (UINT64_MAX >> 20))
    co_return fail(Errc::invalid_argument, "an impossible QoS limit");
  auto lane = co_await volume_lane(id, "setting the QoS of " + id.str(), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto now = co_await find_bdev(target_, id.str(), deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (!*now) co_return target_.refuse(Errc::not_found, "bdev_get_bdevs", "the DPU has no volume " + id.str());
  if (qos_generation_ != generation()) qos_touched_.clear();
  qos_generation_ = generation();
  const auto& bdev = **now;
  if (bdev.rw_ios_per_sec == (iops + 999) / 1000 * 1000 && bdev.rw_mbytes_per_sec == mib_per_s)
    co_return Result<void>();
  if (!bdev.claimed) {
    // On a volume that nobody has open v26.05 takes the first limit and then refuses every other one for
    // good, also once it is open.
    bool touched = qos_touched_.contains(id) || bdev.rw_ios_per_sec != 0 || bdev.rw_mbytes_per_sec != 0;
    if (touched)
      co_return target_.refuse(Errc::busy, "bdev_set_qos_limit",
                               "the QoS of volume " + id.str() + " can be changed only while it is exposed");
    if (qos_touched_.size() >= (1u << 16))
      co_return fail(Errc::busy, "too many volumes with QoS that are not exposed");
    qos_touched_.insert(id);
  }
  auto name = id.str();
  co_return co_await set_qos_limit(target_, std::move(name), iops, mib_per_s, std::move(*lane), deadline);
}

Task<Result<IoStat>> SpdkDpu::io_stat(DpuVolumeId id, Deadline deadline) {
  auto name = id.str();
  co_return co_await get_iostat(target_, std::move(name), deadline);
}

}  // namespace vnvme::dpu::spdk
