#include "service/intent.hpp"

namespace vnvme::service {

VolumeRecord new_volume(Core& core, const SrRecord& sr, std::string name, std::string description,
                        VolumeKind kind, Bytes size) {
  VolumeRecord v;
  v.id = VolumeId(random_uuid());
  v.sr = sr.id;
  v.name = std::move(name);
  v.description = std::move(description);
  v.kind = kind;
  v.size = size;
  v.seq = core.world.next_seq();
  return v;
}

IntentRecord new_intent(Core& core, IntentKind kind, const SrRecord& sr, const VolumeId& volume,
                        const RequestId& request) {
  IntentRecord intent;
  intent.id = core.world.next_intent_id();
  intent.kind = kind;
  intent.sr = sr.id;
  intent.volume = volume;
  intent.request = request;
  return intent;
}

Task<Result<Lane::Hold>> lane_for(Core& core, Place place, IntentRecord intent, std::string what,
                                  Deadline deadline) {
  auto lane = co_await place.link->lane(place.sr.pool).acquire(std::move(what), deadline);
  if (!lane) co_await give_up(core, std::move(intent), Outcome::not_done);
  co_return lane;
}

Task<Result<dpu::DpuVolume>> confirm(Core& core, Place place, IntentRecord intent, Result<DpuVolumeId> answer,
                                     std::string name, Deadline deadline) {
  auto seen = co_await place.link->confirm_made(std::move(answer), place.sr.pool, std::move(name), deadline);
  if (!seen) co_await give_up(core, std::move(intent), seen.error().outcome);
  co_return seen;
}

Task<void> give_up(Core& core, IntentRecord intent, Outcome outcome) {
  if (outcome != Outcome::not_done) {
    core.work.notify();
    co_return;
  }
  std::vector<Change> changes{EraseIntent{intent.id}};
  bool makes_volume = intent.kind == IntentKind::create || intent.kind == IntentKind::snapshot ||
                      intent.kind == IntentKind::clone;
  if (makes_volume) changes.push_back(Erase<VolumeId>{intent.volume});
  if (auto base = intent.facts.find("base"); base != intent.facts.end())
    changes.push_back(Erase<VolumeId>{VolumeId(base->second)});
  // If this fails the intent stays, and is resolved by looking, like any other.
  (void)co_await core.commit(std::move(changes));
}

smapi::Volume leave_pending(Core& core, const smapi::Context& context, VolumeRecord volume,
                            IntentRecord intent, const dpu::DpuVolume* seen) {
  smapi::Volume answer = shown(volume, seen);
  core.pending.insert_or_assign(context.request,
                                Pending{std::move(volume), std::move(intent),
                                        Deadline(context.deadline.at() + core.options.word_grace)});
  return answer;
}

}  // namespace vnvme::service
