#include "service/volume_calls.hpp"

#include "core/text.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/intent.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr std::size_t kTextLimit = 64u << 10;  // names, descriptions, keys and their values
constexpr std::size_t kKeysLimit = 256;        // keys a volume; XAPI uses about ten

Result<void> check_text(std::string_view what, const std::string& text) {
  if (text.size() <= kTextLimit) return {};
  return fail(Errc::invalid_argument,
              std::string(what) + " has " + std::to_string(text.size()) + " bytes; the limit is 65536");
}

Result<void> check_room(const Place& place, const Core& core, Bytes growth) {
  const PoolView* view = place.link->view(place.sr.pool);
  return model::may_allocate(place.sr, model::space_of(place.sr, core.world, view->pool, view->volumes),
                             growth);
}

dpu::CreateVolume new_lvol(const SrRecord& sr, const std::string& name, Bytes size) {
  dpu::Clear clear = sr.wipe == Wipe::zero    ? dpu::Clear::zero
                     : sr.wipe == Wipe::unmap ? dpu::Clear::unmap
                                              : dpu::Clear::none;
  return dpu::CreateVolume{sr.pool, name, size, sr.provisioning == Provisioning::thin, clear};
}

void took(Link& link, const PoolId& pool, Bytes growth) {
  if (PoolView* view = link.view(pool)) view->pool.free = view->pool.free - growth;
}

}  // namespace

Task<Result<smapi::Volume>> VolumeCalls::create(smapi::Context context, SrId sr, std::string name,
                                                std::string description, Bytes size, bool sharable) {
  if (auto ok = check_text("the name", name); !ok) co_return fail(std::move(ok.error()));
  if (auto ok = check_text("the description", description); !ok) co_return fail(std::move(ok.error()));
  auto place = co_await place_of(core_, sr, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  VolumeRecord volume =
      new_volume(core_, place->sr, std::move(name), std::move(description), VolumeKind::data, size);
  volume.sharable = sharable;
  IntentRecord intent = new_intent(core_, IntentKind::create, place->sr, volume.id, context.request);
  if (size.value > 0) {
    if (auto room = check_room(*place, core_, size); !room) co_return fail(std::move(room.error()));
    volume.dpu_name =
        model::volume_name(volume.id, volume.name, place->link->dpu().capabilities().volume_name_bytes);
    intent.facts["name"] = volume.dpu_name;
  }
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(volume).put(intent));
  if (!stored) co_return fail(std::move(stored.error()));
  // XAPI's own self test makes a volume of 0 bytes: it exists, but there is nothing on the DPU.
  if (size.value == 0) co_return leave_pending(core_, context, std::move(volume), std::move(intent), nullptr);

  auto lane =
      co_await lane_for(core_, *place, intent, "create of volume " + volume.id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  dpu::CreateVolume order = new_lvol(place->sr, volume.dpu_name, size);
  auto made = co_await place->link->dpu().create_volume(order, context.deadline);
  auto seen = co_await confirm(core_, *place, intent, std::move(made), volume.dpu_name, context.deadline);
  if (!seen) co_return fail(std::move(seen.error()));
  volume.dpu_id = seen->id;
  volume.size = seen->size;
  if (volume.size < size) {
    core_.work.notify();
    co_return fail(
        Error{Errc::conflict, Outcome::unknown,
              "the DPU made a volume of " + human(volume.size) + " where " + human(size) + " were asked"});
  }
  if (!order.thin) took(*place->link, place->sr.pool, volume.size);
  co_return leave_pending(core_, context, std::move(volume), std::move(intent), &*seen);
}

Task<Result<void>> VolumeCalls::printing(smapi::Context context, std::string answer) {
  auto it = core_.pending.find(context.request);
  if (it == core_.pending.end())
    co_return fail(Errc::timeout,
                   "request " + context.request.value + " took too long: its volume is being removed again");
  Pending mine = std::move(it->second);
  core_.pending.erase(it);
  LiveIntent live(core_, mine.intent.id);
  mine.volume.state = VolumeState::ready;
  std::vector<Change> changes{
      Put<VolumeRecord>{mine.volume}, EraseIntent{mine.intent.id},
      Put<RequestRecord>{RequestRecord{
          context.request, context.method, std::move(answer),
          std::chrono::duration_cast<seconds>(std::chrono::system_clock::now().time_since_epoch()).count()}}};
  // A clone's hidden base becomes real with it.
  if (auto base = mine.intent.facts.find("base"); base != mine.intent.facts.end()) {
    if (const VolumeRecord* known = core_.world.volume(VolumeId(base->second))) {
      VolumeRecord record = *known;
      record.state = VolumeState::ready;
      record.dpu_id = DpuVolumeId(mine.intent.facts["base_id"]);
      record.size = mine.volume.size;
      changes.push_back(Put<VolumeRecord>{std::move(record)});
    }
  }
  for (RequestId& old : core_.world.surplus_requests(core_.options.remembered_requests))
    changes.push_back(Erase<RequestId>{std::move(old)});
  auto stored = co_await core_.commit(std::move(changes));
  if (!stored) core_.work.notify();  // the housekeeper collects it
  co_return stored;
}

void VolumeCalls::abandoned(const RequestId& request) {
  core_.pending.erase(request);  // its intent is nobody's now
  core_.work.notify();
}

Task<Result<smapi::Volume>> VolumeCalls::stat(smapi::Context, SrId sr, VolumeId id) {
  auto usable = listable_sr(core_, sr);
  if (!usable) co_return fail(std::move(usable.error()));
  auto volume = visible_volume(core_, sr, id);
  if (!volume) co_return fail(std::move(volume.error()));
  co_return shown(core_, *volume);
}

Task<Result<void>> VolumeCalls::edit(smapi::Context context, SrId sr, VolumeId id,
                                     std::function<Result<void>(VolumeRecord&)> change) {
  auto usable = listable_sr(core_, sr);
  if (!usable) co_return fail(std::move(usable.error()));
  auto guard = co_await core_.guard(id, context.method, context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto volume = visible_volume(core_, sr, id);
  if (!volume) co_return fail(std::move(volume.error()));
  auto changed = change(*volume);
  if (!changed) co_return changed;
  co_return co_await core_.commit(Changes().put(std::move(*volume)));
}

Task<Result<void>> VolumeCalls::set_name(smapi::Context context, SrId sr, VolumeId id, std::string name) {
  std::function<Result<void>(VolumeRecord&)> change = [name](VolumeRecord& v) -> Result<void> {
    VNVME_TRY(check_text("the name", name));
    v.name = name;
    v.rename_pending = !v.dpu_id.empty();  // the lvol's label follows in the background
    return {};
  };
  auto done = co_await edit(context, sr, id, change);
  if (done) core_.work.notify();
  co_return done;
}

Task<Result<void>> VolumeCalls::set_description(smapi::Context context, SrId sr, VolumeId id,
                                                std::string text) {
  std::function<Result<void>(VolumeRecord&)> change = [text](VolumeRecord& v) -> Result<void> {
    VNVME_TRY(check_text("the description", text));
    v.description = text;
    return {};
  };
  co_return co_await edit(context, sr, id, change);
}

Task<Result<void>> VolumeCalls::set(smapi::Context context, SrId sr, VolumeId id, std::string key,
                                    std::string value) {
  std::function<Result<void>(VolumeRecord&)> change = [key, value](VolumeRecord& v) -> Result<void> {
    VNVME_TRY(check_text("the key", key));
    VNVME_TRY(check_text("the value", value));
    if (!v.keys.contains(key) && v.keys.size() >= kKeysLimit)
      return fail(Errc::invalid_argument,
                  "volume " + v.id.value + " has " + std::to_string(kKeysLimit) + " keys already");
    v.keys[key] = value;
    return {};
  };
  co_return co_await edit(context, sr, id, change);
}

Task<Result<void>> VolumeCalls::unset(smapi::Context context, SrId sr, VolumeId id, std::string key) {
  std::function<Result<void>(VolumeRecord&)> change = [key](VolumeRecord& v) -> Result<void> {
    v.keys.erase(key);
    return {};
  };
  co_return co_await edit(context, sr, id, change);
}

Task<Result<void>> VolumeCalls::destroy(smapi::Context context, SrId sr, VolumeId id) {
  auto usable = listable_sr(core_, sr);
  if (!usable) co_return fail(std::move(usable.error()));
  auto guard = co_await core_.guard(id, "destroy", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  const VolumeRecord* known = core_.world.visible(sr, id);
  if (known == nullptr) co_return Result<void>{};  // the broker destroys twice
  auto free = model::may_destroy(core_.world, *known);
  while (!free && free.error().code == Errc::busy && !context.deadline.passed() && !core_.stopping()) {
    guard->release();  // the releaser needs it
    core_.work.notify();
    co_await core_.released.wait(context.deadline.capped(seconds(1)));
    guard = co_await core_.guard(id, "destroy", context.deadline);
    if (!guard) co_return fail(std::move(guard.error()));
    known = core_.world.visible(sr, id);
    if (known == nullptr) co_return Result<void>{};
    free = model::may_destroy(core_.world, *known);
  }
  if (!free) co_return free;
  VolumeRecord volume = *known;
  // This commit is the intent, and all that XAPI needs: wiping and freeing are the housekeeper's (design:
  // Space).
  volume.state = VolumeState::trash;
  volume.rename_pending = !volume.dpu_id.empty();
  std::vector<Change> change{Put<VolumeRecord>{volume}};
  if (volume.dpu_id.empty()) change = {Erase<VolumeId>{id}};
  auto stored = co_await core_.commit(std::move(change));
  if (stored) core_.work.notify();
  co_return stored;
}

Task<Result<void>> VolumeCalls::resize(smapi::Context context, SrId sr, VolumeId id, Bytes new_size) {
  auto place = co_await place_of(core_, sr, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  auto guard = co_await core_.guard(id, "resize", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto volume = visible_volume(core_, sr, id);
  if (!volume) co_return fail(std::move(volume.error()));
  if (volume->kind != VolumeKind::data)
    co_return fail(Errc::not_permitted,
                   "volume " + id.value + " is a snapshot; only a writable volume can be resized");
  // Asked again, the call finds the size that it got the first time: rounded up to whole clusters.
  if (new_size == volume->size) co_return Result<void>{};
  if (Bytes cluster = place->sr.cluster; cluster.value > 0 && round_up(new_size, cluster) == volume->size)
    co_return Result<void>{};
  if (new_size < volume->size)
    co_return fail(Errc::not_supported, "volume " + id.value + " has " + human(volume->size) +
                                            " and cannot shrink to " + human(new_size) +
                                            ": vnvme never cuts data off");
  if (auto room = check_room(*place, core_, new_size - volume->size); !room) co_return room;
  if (volume->dpu_id.empty()) co_return co_await grow_from_nothing(context, *place, *volume, new_size);

  IntentRecord intent = new_intent(core_, IntentKind::resize, place->sr, id, context.request);
  intent.facts = {{"from", std::to_string(volume->size.value)}, {"to", std::to_string(new_size.value)}};
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(intent));
  if (!stored) co_return stored;
  auto lane = co_await lane_for(core_, *place, intent, "resize of volume " + id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await grow_in_lane(context, *place, *volume, intent, new_size);
}

Task<Result<void>> VolumeCalls::grow_in_lane(smapi::Context context, Place place, VolumeRecord volume,
                                             IntentRecord intent, Bytes new_size) {
  auto resized = co_await place.link->dpu().resize_volume(volume.dpu_id, new_size, context.deadline);
  if (!resized && resized.error().outcome == Outcome::not_done) {
    co_await give_up(core_, intent, Outcome::not_done);
    co_return resized;
  }
  auto seen = co_await place.link->probe(volume.dpu_id, context.deadline);
  if (!resized && seen && *seen && (*seen)->size == volume.size) {
    core_.work.notify();  // unchanged now, but the DPU may still be at it: the intent stays
    co_return resized;
  }
  if (!seen || !*seen) {
    core_.work.notify();
    if (!seen) co_return fail(std::move(seen.error()));
    co_return fail(
        Error{Errc::conflict, Outcome::unknown, "volume " + volume.id.value + " is not on the DPU any more"});
  }
  place.link->saw(**seen);
  volume.size = (*seen)->size;
  auto stored = co_await core_.commit(Changes().put(volume).erase_intent(intent.id));
  if (!stored) co_return stored;
  if (volume.size >= new_size) co_return Result<void>{};
  if (!resized) co_return resized;
  co_return fail(Error{Errc::conflict, Outcome::unknown,
                       "the DPU left volume " + volume.id.value + " at " + human(volume.size)});
}

// A volume of 0 bytes has no lvol yet.
Task<Result<void>> VolumeCalls::grow_from_nothing(smapi::Context context, Place place, VolumeRecord volume,
                                                  Bytes size) {
  volume.dpu_name =
      model::volume_name(volume.id, volume.name, place.link->dpu().capabilities().volume_name_bytes);
  IntentRecord intent = new_intent(core_, IntentKind::resize, place.sr, volume.id, context.request);
  intent.facts["name"] = volume.dpu_name;
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(intent));
  if (!stored) co_return stored;
  auto lane =
      co_await lane_for(core_, place, intent, "resize of volume " + volume.id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  dpu::CreateVolume order = new_lvol(place.sr, volume.dpu_name, size);
  auto made = co_await place.link->dpu().create_volume(order, context.deadline);
  auto seen = co_await confirm(core_, place, intent, std::move(made), volume.dpu_name, context.deadline);
  if (!seen) co_return fail(std::move(seen.error()));
  volume.dpu_id = seen->id;
  volume.size = seen->size;
  co_return co_await core_.commit(Changes().put(volume).erase_intent(intent.id));
}

}  // namespace vnvme::service
