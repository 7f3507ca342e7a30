#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/intent.hpp"
#include "service/volume_calls.hpp"

namespace vnvme::service {
namespace {

// After `name` was made as a snapshot of `source`: what that did to the source, without asking again.
void note_snapshot(Link& link, const PoolId& pool, const DpuVolumeId& source, const std::string& name) {
  PoolView* view = link.view(pool);
  if (view == nullptr) return;
  auto it = view->volumes.find(source.value);
  if (it == view->volumes.end()) return;
  it->second.parent = name;
  it->second.thin = true;  // SPDK: for good
  if (it->second.allocated) it->second.allocated = Bytes{0};
}

std::string observed_name(const Place& place, const VolumeRecord& v) {
  const PoolView* view = place.link->view(place.sr.pool);
  auto it = view->volumes.find(v.dpu_id.value);
  return it == view->volumes.end() ? v.dpu_name : it->second.name;
}

Result<void> check_depth(const Place& place, const VolumeRecord& v) {
  const PoolView* view = place.link->view(place.sr.pool);
  std::size_t depth = model::depth_of(view->volumes, observed_name(place, v));
  if (depth < model::kMaxDepth) return {};
  return fail(Errc::not_permitted,
              "volume " + v.id.value + " already stands on " + std::to_string(depth) +
                  " snapshots, which is the limit; copy it (xe vdi-copy) to begin a new chain");
}

Result<void> check_able(bool able, const Place& place, const char* what) {
  if (able) return {};
  return fail(Errc::not_supported, "DPU " + place.link->id().value + " cannot make a " + what +
                                       "; SRs on such cards have type vnvme-raw");
}

// Keeps the housekeeper from merging that hidden snapshot away meanwhile.
class Pin {
 public:
  Pin(Core& core, VolumeId id) : core_(core), id_(std::move(id)) { core_.pinned.insert(id_); }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() { core_.pinned.erase(core_.pinned.find(id_)); }

 private:
  Core& core_;
  VolumeId id_;
};

}  // namespace

Task<Result<smapi::Volume>> LineageCalls::snapshot(smapi::Context context, SrId sr, VolumeId id) {
  auto place = co_await place_of(core_, sr, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  if (auto able = check_able(place->link->dpu().capabilities().snapshot, *place, "snapshot"); !able)
    co_return fail(std::move(able.error()));
  auto guard = co_await core_.guard(id, "snapshot", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto source = visible_volume(core_, sr, id);
  if (!source) co_return fail(std::move(source.error()));
  if (source->kind != VolumeKind::data)
    co_return fail(Errc::not_permitted,
                   "volume " + id.value + " is itself a snapshot and never changes; clone it instead");
  if (auto depth = check_depth(*place, *source); !depth) co_return fail(std::move(depth.error()));

  VolumeRecord volume =
      new_volume(core_, place->sr, source->name, source->description, VolumeKind::snapshot, source->size);
  volume.parent = id;
  IntentRecord intent = new_intent(core_, IntentKind::snapshot, place->sr, volume.id, context.request);
  intent.facts["source"] = source->dpu_id.value;
  if (!source->dpu_id.empty()) {
    volume.dpu_name =
        model::volume_name(volume.id, volume.name, place->link->dpu().capabilities().volume_name_bytes);
    intent.facts["name"] = volume.dpu_name;
  }
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(volume).put(intent));
  if (!stored) co_return fail(std::move(stored.error()));
  if (source->dpu_id.empty())
    co_return leave_pending(core_, context, std::move(volume), std::move(intent), nullptr);

  auto lane = co_await lane_for(core_, *place, intent, "snapshot of volume " + id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto made = co_await place->link->dpu().snapshot_volume(source->dpu_id, volume.dpu_name, context.deadline);
  auto seen = co_await confirm(core_, *place, intent, std::move(made), volume.dpu_name, context.deadline);
  if (!seen) co_return fail(std::move(seen.error()));
  note_snapshot(*place->link, place->sr.pool, source->dpu_id, volume.dpu_name);
  volume.dpu_id = seen->id;
  volume.size = seen->size;
  co_return leave_pending(core_, context, std::move(volume), std::move(intent), &*seen);
}

Result<LineageCalls::Base> LineageCalls::choose_base(const Place& place, const VolumeRecord& source) const {
  if (source.kind == VolumeKind::snapshot) return Base{source.dpu_id, {}, source.id};
  VNVME_TRY(check_depth(place, source));
  if (const VolumeRecord* base = equal_base(place, source)) return Base{base->dpu_id, {}, base->id};
  VolumeId fresh(random_uuid());
  return Base{{}, model::base_name(fresh), fresh};
}

const VolumeRecord* LineageCalls::equal_base(const Place& place, const VolumeRecord& source) const {
  const PoolView* view = place.link->view(place.sr.pool);
  if (view == nullptr || !core_.world.attachments_of(source.id).empty()) return nullptr;
  auto seen = view->volumes.find(source.dpu_id.value);
  if (seen == view->volumes.end() || seen->second.allocated != Bytes{0} || seen->second.parent.empty())
    return nullptr;
  auto own = model::parse_name(seen->second.parent);
  const VolumeRecord* base = own ? core_.world.volume(own->id) : nullptr;
  bool good = base != nullptr && base->kind == VolumeKind::base && base->state == VolumeState::ready &&
              base->size == source.size;
  return good ? base : nullptr;
}

Task<Result<void>> LineageCalls::look_at_source(Place place, VolumeRecord source, Deadline deadline) {
  if (source.kind == VolumeKind::snapshot || source.dpu_id.empty()) co_return Result<void>{};
  if (equal_base(place, source) == nullptr) co_return Result<void>{};
  auto now = co_await place.link->dpu().find_volume(source.dpu_id, deadline);
  if (!now) co_return fail(std::move(now.error()));
  if (*now)
    place.link->saw(**now);
  else
    place.link->lost(place.sr.pool, source.dpu_id);
  co_return Result<void>{};
}

Task<Result<smapi::Volume>> LineageCalls::clone(smapi::Context context, SrId sr, VolumeId id) {
  auto place = co_await place_of(core_, sr, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  if (auto able = check_able(place->link->dpu().capabilities().clone, *place, "clone"); !able)
    co_return fail(std::move(able.error()));
  auto guard = co_await core_.guard(id, "clone", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto source = visible_volume(core_, sr, id);
  if (!source) co_return fail(std::move(source.error()));
  co_return co_await clone_of(context, *place, *source);
}

Result<LineageCalls::Base> LineageCalls::plan_clone(const Place& place, const VolumeRecord& source,
                                                    VolumeRecord& volume, IntentRecord& intent,
                                                    std::vector<Change>& changes) {
  auto base = choose_base(place, source);
  if (!base) return base;
  volume.dpu_name =
      model::volume_name(volume.id, volume.name, place.link->dpu().capabilities().volume_name_bytes);
  intent.facts = {{"source", source.dpu_id.value}, {"name", volume.dpu_name}};
  if (base->made.empty()) return base;
  VolumeRecord hidden = new_volume(core_, place.sr, {}, {}, VolumeKind::base, source.size);
  hidden.id = base->volume;
  hidden.parent = source.id;
  hidden.dpu_name = base->made;
  changes.push_back(Put<VolumeRecord>{std::move(hidden)});
  intent.facts["base"] = base->volume.value;
  intent.facts["base_name"] = base->made;
  return base;
}

Task<Result<smapi::Volume>> LineageCalls::clone_of(smapi::Context context, Place place, VolumeRecord source) {
  VolumeRecord volume =
      new_volume(core_, place.sr, source.name, source.description, VolumeKind::data, source.size);
  volume.parent = source.id;
  IntentRecord intent = new_intent(core_, IntentKind::clone, place.sr, volume.id, context.request);
  std::vector<Change> changes;
  Base base;
  auto looked = co_await look_at_source(place, source, context.deadline);
  if (!looked) co_return fail(std::move(looked.error()));
  // No wait from here to the pin: the base that is chosen could be merged away.
  if (!source.dpu_id.empty()) {
    auto chosen = plan_clone(place, source, volume, intent, changes);
    if (!chosen) co_return fail(std::move(chosen.error()));
    base = std::move(*chosen);
  }
  changes.push_back(Put<VolumeRecord>{volume});
  changes.push_back(Put<IntentRecord>{intent});
  Pin pin(core_, base.volume);
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(std::move(changes));
  if (!stored) co_return fail(std::move(stored.error()));
  if (source.dpu_id.empty())
    co_return leave_pending(core_, context, std::move(volume), std::move(intent), nullptr);

  auto lane = co_await lane_for(core_, place, intent, "clone of volume " + source.id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  if (!base.made.empty()) {
    auto made = co_await place.link->dpu().snapshot_volume(source.dpu_id, base.made, context.deadline);
    auto seen = co_await confirm(core_, place, intent, std::move(made), base.made, context.deadline);
    if (!seen) co_return fail(std::move(seen.error()));
    note_snapshot(*place.link, place.sr.pool, source.dpu_id, base.made);
    base.id = seen->id;
    intent.facts["base_id"] = seen->id.value;
  }
  auto made = co_await place.link->dpu().clone_volume(base.id, volume.dpu_name, context.deadline);
  auto seen =
      co_await place.link->confirm_made(std::move(made), place.sr.pool, volume.dpu_name, context.deadline);
  if (!seen) {
    // The hidden snapshot may be there already: from now on only looking helps.
    Outcome outcome = base.made.empty() ? seen.error().outcome : Outcome::unknown;
    co_await give_up(core_, intent, outcome);
    co_return fail(std::move(seen.error()));
  }
  volume.dpu_id = seen->id;
  volume.size = seen->size;
  co_return leave_pending(core_, context, std::move(volume), std::move(intent), &*seen);
}

Task<Result<dpu::DpuVolume>> LineageCalls::replacement(Place place, VolumeRecord volume, VolumeRecord from,
                                                       std::string name, Deadline deadline) {
  auto made = co_await place.link->dpu().clone_volume(from.dpu_id, name, deadline);
  auto seen = co_await place.link->confirm_made(std::move(made), place.sr.pool, name, deadline);
  if (!seen || seen->size >= volume.size) co_return seen;
  // The volume was grown since the snapshot, and a volume never shrinks (I5).
  auto grown = co_await place.link->dpu().resize_volume(seen->id, volume.size, deadline);
  if (!grown) {
    grown.error().outcome = Outcome::unknown;  // the clone is there: the reverter's intent must stay
    co_return fail(std::move(grown.error()));
  }
  auto again = co_await place.link->probe(seen->id, deadline);
  if (again && *again && (*again)->size >= volume.size) co_return std::move(**again);
  co_return fail(
      Error{Errc::conflict, Outcome::unknown,
            "the clone of snapshot " + from.id.value + " could not be grown to " + human(volume.size)});
}

Task<Result<void>> LineageCalls::revert(smapi::Context context, SrId sr, VolumeId snapshot, VolumeId id) {
  auto place = co_await place_of(core_, sr, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  auto guard = co_await core_.guard(id, "revert", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto volume = visible_volume(core_, sr, id);
  if (!volume) co_return fail(std::move(volume.error()));
  auto from = visible_volume(core_, sr, snapshot);
  if (!from) co_return fail(std::move(from.error()));
  if (volume->kind != VolumeKind::data)
    co_return fail(Errc::not_permitted,
                   "volume " + id.value + " is a snapshot; only a writable volume can be reverted");
  if (from->kind != VolumeKind::snapshot)
    co_return fail(Errc::not_permitted,
                   "volume " + snapshot.value + " is not a snapshot; a volume can only be reverted to one");
  if (volume->dpu_id.empty() || from->dpu_id.empty()) {
    if (volume->dpu_id.empty() && from->dpu_id.empty()) co_return Result<void>{};  // nothing becomes nothing
    co_return fail(Errc::not_permitted, "one of the two volumes has 0 bytes; there is nothing to revert");
  }
  if (auto free = model::may_destroy(core_.world, *volume); !free) co_return free;

  IntentRecord intent = new_intent(core_, IntentKind::revert, place->sr, id, context.request);
  intent.facts = {{"name", model::replacement_name(VolumeId(random_uuid()))},
                  {"snapshot", from->dpu_id.value},
                  {"old", volume->dpu_id.value}};
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(intent));
  if (!stored) co_return stored;
  auto lane = co_await lane_for(core_, *place, intent, "revert of volume " + id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto made = co_await replacement(*place, *volume, *from, intent.facts["name"], context.deadline);
  if (!made) {
    co_await give_up(core_, intent, made.error().outcome);
    co_return fail(std::move(made.error()));
  }
  // One commit swaps them: the volume's storage is the clone, and the former storage is trash of its own.
  VolumeRecord old = *volume;
  old.id = VolumeId(random_uuid());
  old.name.clear();
  old.description.clear();
  old.keys.clear();
  old.state = VolumeState::trash;
  old.rename_pending = true;
  old.seq = core_.world.next_seq();
  volume->dpu_id = made->id;
  volume->dpu_name = made->name;
  volume->size = made->size;
  volume->rename_pending = true;
  stored = co_await core_.commit(Changes().put(*volume).put(old).erase_intent(intent.id));
  core_.work.notify();
  co_return stored;
}

}  // namespace vnvme::service
