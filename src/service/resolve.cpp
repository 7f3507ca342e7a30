#include "service/resolve.hpp"

#include "model/names.hpp"

namespace vnvme::service {
namespace {

std::string fact(const IntentRecord& intent, const std::string& key) {
  auto it = intent.facts.find(key);
  return it == intent.facts.end() ? std::string() : it->second;
}

tl::unexpected<Error> doubtful(const std::string& what) {
  return fail(Errc::busy, what + " is not there, but may still be on its way; it is looked at again");
}

// Removes the lvol of that name, when there is one. Lane held by the caller.
Task<Result<void>> remove_named(Link& link, PoolId pool, std::string name, Absence absence,
                                Deadline deadline) {
  if (name.empty()) co_return Result<void>{};
  auto found = co_await link.probe(pool, name, deadline);
  if (!found) co_return fail(std::move(found.error()));
  if (!*found && absence == Absence::doubtful) co_return doubtful("lvol " + name);
  if (!*found) co_return Result<void>{};
  // Only what bears our name is ever deleted (I1), whatever the store says.
  if (!model::parse_name((*found)->name))
    co_return fail(Errc::conflict, "lvol " + (*found)->name + " has no name of vnvme and is left alone");
  co_return co_await link.remove((*found)->id, deadline);
}

// create, snapshot, clone: never visible, so nobody can miss it.
Task<Result<void>> collect(Core& core, Link& link, PoolId pool, IntentRecord intent, Absence absence,
                           Deadline deadline) {
  auto removed = co_await remove_named(link, pool, fact(intent, "name"), absence, deadline);
  if (!removed) co_return removed;
  auto base = co_await remove_named(link, pool, fact(intent, "base_name"), absence, deadline);
  if (!base) co_return base;
  std::vector<Change> changes{EraseIntent{intent.id}, Erase<VolumeId>{intent.volume}};
  if (auto id = fact(intent, "base"); !id.empty()) changes.push_back(Erase<VolumeId>{VolumeId(id)});
  auto stored = co_await core.commit(std::move(changes));
  if (stored && intent.kind != IntentKind::create) (void)co_await link.refresh_volumes(pool, deadline);
  co_return stored;
}

Task<Result<void>> settle_resize(Core& core, Link& link, PoolId pool, IntentRecord intent, Absence absence,
                                 Deadline deadline) {
  const VolumeRecord* known = core.world.volume(intent.volume);
  if (known == nullptr) co_return co_await core.commit(Changes().erase_intent(intent.id));
  VolumeRecord record = *known;
  if (record.dpu_id.empty()) {  // it had 0 bytes, and its first lvol was being made
    auto removed = co_await remove_named(link, pool, fact(intent, "name"), absence, deadline);
    if (!removed) co_return removed;
    co_return co_await core.commit(Changes().erase_intent(intent.id));
  }
  auto found = co_await link.probe(record.dpu_id, deadline);
  if (!found) co_return fail(std::move(found.error()));
  if (*found) {
    bool unchanged = (*found)->size == record.size;
    if (unchanged && absence == Absence::doubtful)
      co_return doubtful("the new size of volume " + record.id.value);
    link.saw(**found);
    record.size = (*found)->size;  // the DPU's truth, whichever of the two sizes it is
  }
  co_return co_await core.commit(Changes().put(record).erase_intent(intent.id));
}

Task<Result<void>> undo_revert(Core& core, Link& link, PoolId pool, IntentRecord intent, Absence absence,
                               Deadline deadline) {
  auto removed = co_await remove_named(link, pool, fact(intent, "name"), absence, deadline);
  if (!removed) co_return removed;
  auto stored = co_await core.commit(Changes().erase_intent(intent.id));
  if (stored) (void)co_await link.refresh_volumes(pool, deadline);
  co_return stored;
}

Task<Result<void>> undo_expose(Core& core, Link& link, IntentRecord intent, Absence absence,
                               Deadline deadline) {
  std::string owner = fact(intent, "owner");
  const AttachmentRecord* known = core.world.attachment(intent.volume, owner);
  if (known == nullptr) co_return co_await core.commit(Changes().erase_intent(intent.id));
  AttachmentRecord attachment = *known;
  auto lane =
      co_await link.functions_lane().acquire("undo of an attach of volume " + intent.volume.value, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto exposures = co_await link.dpu().list_exposures(deadline);
  if (!exposures) co_return fail(std::move(exposures.error()));
  // Where a function has one namespace only, its number may be another volume's by now.
  const VolumeRecord* volume = core.world.volume(intent.volume);
  const std::string lvol = volume == nullptr ? std::string() : volume->dpu_id.value;
  auto same = [&attachment, &lvol](const dpu::Exposure& e) {
    return e.function == attachment.function && e.nsid == attachment.nsid &&
           (lvol.empty() || e.target == lvol);
  };
  const bool there = std::any_of(exposures->begin(), exposures->end(), same);
  if (absence == Absence::doubtful && !there)
    co_return doubtful("the namespace of volume " + intent.volume.value);
  if (there) {
    auto gone = co_await link.dpu().unexpose(attachment.function, attachment.nsid, deadline);
    if (!gone) co_return gone;
  }
  auto stored =
      co_await core.commit(Changes().erase_intent(intent.id).erase_attachment(intent.volume, owner));
  core.released.notify();
  co_return stored;
}

// Deleted only when the DPU no longer lists it, whatever it answered.
Task<Result<void>> delete_pool(Link& link, PoolId pool, Deadline deadline) {
  auto deleted = co_await link.dpu().delete_pool(pool, deadline);
  auto pools = co_await link.dpu().list_pools(deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  for (const auto& p : *pools) {
    if (p.id != pool) continue;
    if (!deleted) co_return deleted;
    co_return fail(Error{Errc::conflict, Outcome::unknown,
                         "the DPU said that it deleted pool " + p.name + ", yet lists it"});
  }
  co_return Result<void>{};
}

Task<Result<void>> delete_raid(Link& link, std::string name, Deadline deadline) {
  if (name.empty()) co_return Result<void>{};
  auto raids = co_await link.dpu().list_raids(deadline);
  if (!raids) co_return fail(std::move(raids.error()));
  auto same = [&name](const dpu::Raid& r) { return r.name == name; };
  if (std::none_of(raids->begin(), raids->end(), same)) co_return Result<void>{};
  auto deleted = co_await link.dpu().delete_raid(name, deadline);
  if (deleted) co_return deleted;
  raids = co_await link.dpu().list_raids(deadline);
  if (raids && std::none_of(raids->begin(), raids->end(), same)) co_return Result<void>{};
  co_return deleted;
}

// A half-made SR: undone, unless something is in its pool already, which then is worth more than tidiness.
Task<Result<void>> undo_sr_create(Core& core, Link& link, IntentRecord intent, Absence absence,
                                  Deadline deadline) {
  const SrRecord* known = core.world.sr(intent.sr);
  if (known == nullptr) co_return co_await core.commit(Changes().erase_intent(intent.id));
  SrRecord sr = *known;
  auto pools = co_await link.dpu().list_pools(deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  auto same = [&sr](const dpu::Pool& p) { return p.name == sr.pool_name; };
  if (absence == Absence::doubtful && std::none_of(pools->begin(), pools->end(), same))
    co_return doubtful("pool " + sr.pool_name);
  // A fixed name is nobody's: there the intent says that no pool was called so before, and the drive is ours.
  const std::string below = sr.raid_name.empty() && !sr.drives.empty() ? sr.drives.front() : sr.raid_name;
  const bool fixed = fact(intent, "pool_was_absent") == "true";
  for (const auto& pool : *pools) {
    if (pool.name != sr.pool_name) continue;
    if (!model::sr_of_pool_name(pool.name) && !(fixed && pool.drive == below)) continue;
    auto volumes = co_await link.dpu().list_volumes(pool.id, deadline);
    if (!volumes) co_return fail(std::move(volumes.error()));
    if (!volumes->empty()) {
      sr.pool = pool.id;
      sr.state = SrState::ready;
      core.event("warning", "SR " + sr.id.value,
                 "SR " + sr.id.value + " was half made and its pool holds volumes: kept");
      co_return co_await core.commit(Changes().put(sr).erase_intent(intent.id));
    }
    auto deleted = co_await delete_pool(link, pool.id, deadline);
    if (!deleted) co_return deleted;
  }
  auto raid = co_await delete_raid(link, sr.raid_name, deadline);
  if (!raid) co_return raid;
  auto stored = co_await core.commit(Changes().erase_intent(intent.id).erase(sr.id));
  if (stored) (void)co_await link.refresh_pools(deadline);
  co_return stored;
}

// Once begun, a destroy of an SR is finished: it was refused before the intent if anything was in its way.
Task<Result<void>> finish_sr_destroy(Core& core, Link& link, IntentRecord intent, Deadline deadline) {
  const SrRecord* known = core.world.sr(intent.sr);
  if (known == nullptr) co_return co_await core.commit(Changes().erase_intent(intent.id));
  SrRecord sr = *known;
  auto pools = co_await link.dpu().list_pools(deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  for (const auto& pool : *pools) {
    if (pool.id != sr.pool) continue;
    auto volumes = co_await link.dpu().list_volumes(pool.id, deadline);
    if (!volumes) co_return fail(std::move(volumes.error()));
    for (const auto& v : *volumes) {
      auto own = model::parse_name(v.name);
      if (own && core.world.volume(own->id) != nullptr) continue;
      co_return fail(Errc::in_use, "pool " + pool.name + " holds lvol " + v.name +
                                       ", which vnvme does not know; the SR is kept");
    }
    auto deleted = co_await delete_pool(link, pool.id, deadline);
    if (!deleted) co_return deleted;
    link.forget_pool(pool.id);
  }
  auto raid = co_await delete_raid(link, sr.raid_name, deadline);
  if (!raid) co_return raid;
  std::vector<Change> changes{EraseIntent{intent.id}};
  for (const VolumeRecord* v : core.world.volumes_of(sr.id)) changes.push_back(Erase<VolumeId>{v->id});
  changes.push_back(Erase<SrId>{sr.id});
  co_return co_await core.commit(std::move(changes));
}

}  // namespace

std::string guard_of(const IntentRecord& intent) {
  bool of_sr = intent.kind == IntentKind::sr_create || intent.kind == IntentKind::sr_destroy;
  return of_sr ? "SR " + intent.sr.value : "volume " + intent.volume.value;
}

Task<Result<void>> resolve_intent(Core& core, Link& link, IntentRecord intent, Absence absence, LaneHeld held,
                                  Deadline deadline) {
  PoolId pool;
  if (const SrRecord* sr = core.world.sr(intent.sr)) pool = sr->pool;
  if (intent.kind == IntentKind::expose || intent.kind == IntentKind::unexpose)
    co_return co_await undo_expose(core, link, std::move(intent), absence, deadline);
  Lane::Hold lane;
  if (held == LaneHeld::no) {
    auto acquired = co_await link.lane(pool).acquire("recovery of volume " + intent.volume.value, deadline);
    if (!acquired) co_return fail(std::move(acquired.error()));
    lane = std::move(*acquired);
  }
  if (absence == Absence::proven) {
    // What is not there now proves nothing while the DPU may still be at work on it.
    auto quiet = co_await link.dpu().quiet(pool, deadline);
    if (!quiet) co_return fail(std::move(quiet.error()));
  }
  switch (intent.kind) {
    case IntentKind::create:
    case IntentKind::snapshot:
    case IntentKind::clone:
      co_return co_await collect(core, link, pool, std::move(intent), absence, deadline);
    case IntentKind::resize:
      co_return co_await settle_resize(core, link, pool, std::move(intent), absence, deadline);
    case IntentKind::revert:
      co_return co_await undo_revert(core, link, pool, std::move(intent), absence, deadline);
    case IntentKind::sr_create:
      co_return co_await undo_sr_create(core, link, std::move(intent), absence, deadline);
    case IntentKind::sr_destroy:
      co_return co_await finish_sr_destroy(core, link, std::move(intent), deadline);
    default:
      break;
  }
  // destroy and merge_base have no intent of their own: VolumeState::trash is one.
  co_return fail(Errc::internal, "an intent of a kind that is never written");
}

}  // namespace vnvme::service
