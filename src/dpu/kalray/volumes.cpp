// KalrayDpu: drives, pools and volumes. Most of it is the card's SPDK; what is added is the names.
#include <algorithm>

#include "core/text.hpp"
#include "dpu/kalray/kalray_dpu.hpp"

namespace vnvme::dpu::kalray {

Task<Result<std::vector<Drive>>> KalrayDpu::list_drives(Deadline deadline) {
  return card_->list_drives(deadline);
}
Task<Result<std::vector<Raid>>> KalrayDpu::list_raids(Deadline deadline) {
  return card_->list_raids(deadline);
}
Task<Result<void>> KalrayDpu::create_raid(CreateRaid want, Deadline deadline) {
  return card_->create_raid(std::move(want), deadline);
}
Task<Result<void>> KalrayDpu::delete_raid(std::string name, Deadline deadline) {
  return card_->delete_raid(std::move(name), deadline);
}
Task<Result<void>> KalrayDpu::settle(Deadline deadline) {
  return card_->settle(deadline);
}
Task<Result<std::vector<Pool>>> KalrayDpu::list_pools(Deadline deadline) {
  return card_->list_pools(deadline);
}

Task<Result<PoolId>> KalrayDpu::create_pool(CreatePool want, Deadline deadline) {
  if (want.name != kStore)
    co_return refuse(Errc::invalid_argument, "the card binds volumes of the pool \"" + std::string(kStore) +
                                                 "\" only: a pool cannot be called \"" +
                                                 printable(want.name, 64) + "\"");
  co_return co_await card_->create_pool(std::move(want), deadline);
}

Task<Result<void>> KalrayDpu::delete_pool(PoolId pool, Deadline deadline) {
  auto keep = co_await lane("deleting pool " + pool.str(), deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  auto there = co_await bound(deadline);
  if (!there) co_return fail(std::move(there.error()));
  for (const auto& b : *there)
    if (b.volume.pool == pool)
      co_return refuse(Errc::in_use, "pool " + pool.str() + " holds volume " + b.volume.id.str() +
                                         ", which is on function \"" + b.slot + "\"");
  co_return co_await card_->delete_pool(pool, deadline);
}

Task<Result<void>> KalrayDpu::quiet(PoolId pool, Deadline deadline) {
  auto keep = co_await lane("a look at what became of a change", deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  co_return co_await card_->quiet(std::move(pool), deadline);
}

void KalrayDpu::translate(std::vector<DpuVolume>& all) const {
  std::map<std::string, std::string, std::less<>> own;  // of each slot's name
  for (const auto& v : all)
    if (is_slot(v.name))
      if (auto name = own_name(v.id); !name.empty()) own[v.name] = std::move(name);
  if (own.empty()) return;
  auto put_right = [&own](std::string& name) {
    if (auto it = own.find(name); it != own.end()) name = it->second;
  };
  for (auto& v : all) {
    put_right(v.name);
    put_right(v.parent);
    for (auto& child : v.children) put_right(child);
  }
}

Task<Result<KalrayDpu::Found>> KalrayDpu::translated(Found found, Deadline deadline) {
  if (!found) co_return found;
  std::vector<DpuVolume> all{std::move(*found)};
  std::vector<std::string> relatives = all.front().children;
  relatives.push_back(all.front().parent);
  for (const auto& name : relatives) {
    if (!is_slot(name)) continue;
    auto relative = co_await card_->find_volume(all.front().pool, name, deadline);
    if (!relative) co_return fail(std::move(relative.error()));
    if (*relative) all.push_back(std::move(**relative));
  }
  translate(all);
  co_return Found(std::move(all.front()));
}

Task<Result<std::vector<DpuVolume>>> KalrayDpu::list_volumes(PoolId pool, Deadline deadline) {
  auto all = co_await card_->list_volumes(std::move(pool), deadline);
  if (all) translate(*all);
  co_return all;
}

Task<Result<std::vector<DpuVolume>>> KalrayDpu::list_volume_names(PoolId pool, Deadline deadline) {
  auto all = co_await card_->list_volume_names(std::move(pool), deadline);
  if (all) translate(*all);
  co_return all;
}

Task<Result<std::optional<DpuVolume>>> KalrayDpu::find_volume(DpuVolumeId id, Deadline deadline) {
  auto found = co_await card_->find_volume(std::move(id), deadline);
  if (!found) co_return fail(std::move(found.error()));
  co_return co_await translated(std::move(*found), deadline);
}

Task<Result<std::optional<DpuVolume>>> KalrayDpu::find_volume(PoolId pool, std::string name,
                                                              Deadline deadline) {
  auto found = co_await card_->find_volume(pool, name, deadline);
  if (!found) co_return fail(std::move(found.error()));
  if (*found && !is_slot(name)) co_return co_await translated(std::move(*found), deadline);
  // Absent is a positive answer: it may be on a function, or on its way to one.
  auto keep = co_await lane("looking for volume " + name, deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  co_return co_await find_in_lane(std::move(pool), std::move(name), deadline);
}

Task<Result<KalrayDpu::Found>> KalrayDpu::find_in_lane(PoolId pool, std::string name, Deadline deadline) {
  auto found = co_await card_->find_volume(pool, name, deadline);
  if (!found) co_return fail(std::move(found.error()));
  // A volume of ours that stands behind a slot's name has another name of its own.
  bool bound_here = *found && is_slot(name) && !own_name((*found)->id).empty();
  if (*found && !bound_here) co_return co_await translated(std::move(*found), deadline);
  if (bound_here) co_return Found();
  auto there = co_await bound(deadline);
  if (!there) co_return fail(std::move(there.error()));
  for (auto& b : *there) {
    if (b.own != name || b.volume.pool != pool) continue;
    Found at_slot(std::move(b.volume));
    co_return co_await translated(std::move(at_slot), deadline);
  }
  co_return Found();
}

Task<Result<DpuVolumeId>> KalrayDpu::create_volume(CreateVolume want, Deadline deadline) {
  auto legal = check_name(want.name);
  if (!legal) co_return fail(std::move(legal.error()));
  co_return co_await card_->create_volume(std::move(want), deadline);
}
Task<Result<DpuVolumeId>> KalrayDpu::snapshot_volume(DpuVolumeId source, std::string name,
                                                     Deadline deadline) {
  auto legal = check_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  co_return co_await card_->snapshot_volume(std::move(source), std::move(name), deadline);
}
Task<Result<DpuVolumeId>> KalrayDpu::clone_volume(DpuVolumeId snapshot, std::string name, Deadline deadline) {
  auto legal = check_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  co_return co_await card_->clone_volume(std::move(snapshot), std::move(name), deadline);
}
Task<Result<void>> KalrayDpu::resize_volume(DpuVolumeId id, Bytes size, Deadline deadline) {
  return card_->resize_volume(std::move(id), size, deadline);
}

Task<Result<void>> KalrayDpu::shrink_volume(DpuVolumeId id, Bytes size, Deadline deadline) {
  auto keep = co_await lane("erasing the end of volume " + id.str(), deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  // Nobody knows whether the card calls a volume on a function claimed: its name tells.
  auto now = co_await card_->find_volume(id, deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (*now && is_slot((*now)->name))
    co_return refuse(Errc::in_use,
                     "volume " + id.str() + " is on function \"" + (*now)->name + "\" and is not cut down");
  co_return co_await card_->shrink_volume(std::move(id), size, deadline);
}

// On a function it keeps the function's name on the card, and gets its new one when it is taken back.
Task<Result<void>> KalrayDpu::rename_volume(DpuVolumeId id, std::string name, Deadline deadline) {
  auto legal = check_name(name);
  if (!legal) co_return fail(std::move(legal.error()));
  auto keep = co_await lane("renaming volume " + id.str(), deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  auto now = co_await card_->find_volume(id, deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (!*now) co_return refuse(Errc::not_found, "the card has no volume " + id.str());
  if (!is_slot((*now)->name))
    co_return co_await card_->rename_volume(std::move(id), std::move(name), deadline);
  if (own_name(id).empty())
    co_return refuse(Errc::not_permitted, "volume " + id.str() + " is called \"" + (*now)->name +
                                              "\", and the store does not know it: it is left alone");
  auto taken = co_await find_in_lane((*now)->pool, name, deadline);
  if (!taken) co_return fail(std::move(taken.error()));
  if (*taken && (*taken)->id != id)
    co_return refuse(Errc::already_exists, "the card has a volume \"" + name + "\" already");
  remember(id, std::move(name));
  co_return Result<void>();
}

Task<Result<void>> KalrayDpu::set_read_only(DpuVolumeId id, Deadline deadline) {
  return card_->set_read_only(std::move(id), deadline);
}
Task<Result<void>> KalrayDpu::inflate_volume(DpuVolumeId id, Deadline deadline) {
  return card_->inflate_volume(std::move(id), deadline);
}
Task<Result<void>> KalrayDpu::decouple_volume(DpuVolumeId id, Deadline deadline) {
  return card_->decouple_volume(std::move(id), deadline);
}

Task<Result<void>> KalrayDpu::delete_volume(DpuVolumeId id, Deadline deadline) {
  auto keep = co_await lane("deleting volume " + id.str(), deadline);
  if (!keep) co_return fail(std::move(keep.error()));
  auto now = co_await card_->find_volume(id, deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (*now && is_slot((*now)->name))
    co_return refuse(Errc::in_use,
                     "volume " + id.str() + " is on function \"" + (*now)->name + "\" and is not deleted");
  co_return co_await card_->delete_volume(std::move(id), deadline);
}

Task<Result<void>> KalrayDpu::set_qos(DpuVolumeId id, std::uint64_t iops, std::uint64_t mib_per_s,
                                      Deadline deadline) {
  return card_->set_qos(std::move(id), iops, mib_per_s, deadline);
}
Task<Result<IoStat>> KalrayDpu::io_stat(DpuVolumeId id, Deadline deadline) {
  return card_->io_stat(std::move(id), deadline);
}

}  // namespace vnvme::dpu::kalray
