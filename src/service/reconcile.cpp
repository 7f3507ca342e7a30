#include "service/reconcile.hpp"

#include <set>

#include "core/log.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"

namespace vnvme::service {
namespace {
using std::chrono::seconds;
constexpr auto kStep = seconds(30);
}  // namespace

Task<Result<void>> Reconciler::restore_raids() {
  std::vector<SrRecord> wanted;
  for (const auto& [id, sr] : core_.world.srs())
    if (sr.dpu == link_.id() && !sr.raid_name.empty() && sr.state == SrState::ready) wanted.push_back(sr);
  if (wanted.empty()) co_return Result<void>{};
  auto raids = co_await link_.dpu().list_raids(Deadline::after(kStep));
  if (!raids) co_return fail(std::move(raids.error()));
  for (const SrRecord& sr : wanted) {
    bool there =
        std::any_of(raids->begin(), raids->end(), [&](const dpu::Raid& r) { return r.name == sr.raid_name; });
    if (there) continue;
    dpu::CreateRaid order{sr.raid_name, sr.raid_level, sr.strip_kib, sr.drives};
    auto made = co_await link_.dpu().create_raid(order, Deadline::after(kStep));
    if (!made)
      core_.event("error", "SR " + sr.id.value,
                  "RAID " + sr.raid_name + " of SR " + sr.id.value +
                      " could not be put together again: " + made.error().describe());
    else
      core_.event("info", "SR " + sr.id.value, "RAID " + sr.raid_name + " was put together again");
  }
  co_return Result<void>{};
}

// Records for everything that bears our name in the pool of an SR whose records were lost (C5).
void Reconciler::adopt(const SrRecord& sr, const PoolView& view, std::vector<Change>& changes) {
  for (const auto& [id, seen] : view.volumes) {
    auto own = model::parse_name(seen.name);
    if (!own || own->kind == model::NameKind::replacement || core_.world.volume(own->id) != nullptr) continue;
    VolumeRecord v;
    v.id = own->id;
    v.sr = sr.id;
    v.name = own->label;
    v.kind = own->kind == model::NameKind::base ? VolumeKind::base
             : seen.snapshot                    ? VolumeKind::snapshot
                                                : VolumeKind::data;
    v.state = own->kind == model::NameKind::trash ? VolumeState::trash : VolumeState::ready;
    v.size = seen.size;
    v.dpu_name = seen.name;
    v.dpu_id = seen.id;
    v.seq = core_.world.next_seq();
    changes.push_back(Put<VolumeRecord>{std::move(v)});
  }
}

void Reconciler::inventory(const SrRecord& sr, const PoolView& view, std::vector<Change>& changes) {
  std::set<std::string> known;
  for (const VolumeRecord* v : core_.world.volumes_of(sr.id)) {
    if (v->dpu_id.empty()) continue;
    known.insert(v->dpu_id.value);
    auto it = view.volumes.find(v->dpu_id.value);
    if (it == view.volumes.end()) {
      if (v->state == VolumeState::ready)
        core_.event("error", "volume " + v->id.value,
                    "volume " + v->id.value + " (" + v->name +
                        ") is missing on the DPU; it stays listed. Run `vnvme doctor`");
      continue;
    }
    if (v->size != it->second.size && !core_.world.has_intent(v->id)) {
      VolumeRecord corrected = *v;
      corrected.size = it->second.size;
      changes.push_back(Put<VolumeRecord>{std::move(corrected)});
    }
  }
  std::size_t strangers = 0;
  for (const auto& [id, seen] : view.volumes)
    if (!known.contains(id) && !model::parse_name(seen.name)) ++strangers;
  if (strangers > 0)
    core_.event("warning", "SR " + sr.id.value,
                std::to_string(strangers) + " volume(s) in the pool of SR " + sr.id.value +
                    " were not made by vnvme and are left alone");
}

Task<Result<void>> Reconciler::recognise() {
  std::vector<Change> changes;
  for (const auto& [id, sr] : core_.world.srs()) {
    if (sr.dpu != link_.id() || sr.state != SrState::ready) continue;
    const PoolView* view = link_.view(sr.pool);
    if (view == nullptr) {
      core_.event("error", "SR " + id.value,
                  "the pool of SR " + id.value + " is not on DPU " + link_.id().value +
                      "; nothing of it is deleted or forgotten. Run `vnvme doctor`");
      continue;
    }
    SrRecord updated = sr;
    updated.total = view->pool.total;
    updated.free = view->pool.free;
    updated.cluster = view->pool.cluster;
    if (updated.pool_name.empty()) updated.pool_name = view->pool.name;
    if (updated.total != sr.total || updated.free != sr.free || updated.cluster != sr.cluster ||
        updated.pool_name != sr.pool_name)
      changes.push_back(Put<SrRecord>{updated});
    if (sr.adopted)
      adopt(updated, *view, changes);
    else
      inventory(updated, *view, changes);
  }
  if (changes.empty()) co_return Result<void>{};
  co_return co_await core_.commit(std::move(changes));
}

Reconciler::Guarded Reconciler::guard_intents() {
  Guarded out;
  out.functions = link_.functions_lane().try_acquire("recovery of functions");
  for (const auto& [id, intent] : core_.world.intents()) {
    const SrRecord* sr = core_.world.sr(intent.sr);
    if (sr == nullptr || sr->dpu != link_.id() || core_.live_intents.contains(id)) continue;
    bool waits_for_word = std::any_of(core_.pending.begin(), core_.pending.end(),
                                      [&id = id](const auto& p) { return p.second.intent.id == id; });
    if (waits_for_word) continue;
    auto hold = core_.guards.try_acquire(guard_of(intent), "recovery after a restart");
    if (!hold) continue;
    out.intents.emplace_back(intent, std::move(*hold));
    if (out.lanes.contains(sr->pool)) continue;
    auto lane = link_.lane(sr->pool).try_acquire("recovery after a restart");
    if (lane) out.lanes.emplace(sr->pool, std::move(*lane));
  }
  return out;
}

Task<void> Reconciler::resolve_all(Guarded& guarded, Absence absence) {
  std::vector<std::pair<IntentRecord, Lane::Hold>> open;
  for (auto& [intent, hold] : guarded.intents) {
    LiveIntent mine(core_, intent.id);
    const SrRecord* sr = core_.world.sr(intent.sr);
    const LaneHeld held = sr != nullptr && guarded.lanes.contains(sr->pool) ? LaneHeld::yes : LaneHeld::no;
    auto resolved = co_await resolve_intent(core_, link_, intent, absence, held, Deadline::after(kStep));
    if (resolved) continue;
    log::info("an intent is still open",
              {{"volume", intent.volume.value}, {"why", resolved.error().describe()}});
    open.emplace_back(intent, std::move(hold));
  }
  guarded.intents = std::move(open);
}

Task<void> Reconciler::converge(Guarded guarded) {
  auto functions = co_await restore_in_lane(guarded);
  if (!functions)
    core_.event("warning", "dpu " + link_.id().value,
                "functions of DPU " + link_.id().value +
                    " could not be brought back yet: " + functions.error().describe());
  guarded.functions.reset();
  co_await resolve_all(guarded, Absence::doubtful);
  if (guarded.intents.empty()) co_return;
  co_await pause_for(core_.options.limbo);
  co_await resolve_all(guarded, Absence::proven);  // what fails now is the housekeeper's
}

Task<Result<void>> Reconciler::restore_in_lane(Guarded& guarded) {
  if (!guarded.functions) {
    auto lane = co_await link_.functions_lane().acquire("recovery of functions", Deadline::after(kStep));
    if (!lane) co_return fail(std::move(lane.error()));
    guarded.functions = std::move(*lane);
  }
  auto functions = co_await restore_functions();
  if (!functions) co_return functions;
  co_return co_await restore_exposures();
}

Task<Result<void>> Reconciler::restore_functions() {
  std::vector<ReservationRecord> reservations;
  for (const auto& [key, r] : core_.world.reservations())
    if (r.dpu == link_.id() && !model::is_spare(r.vm)) reservations.push_back(r);  // running guests first
  auto functions = co_await link_.dpu().list_functions(Deadline::after(kStep));
  if (!functions) co_return fail(std::move(functions.error()));
  for (ReservationRecord& r : reservations) {
    auto same = [&r](const dpu::Function& f) {
      return f.serial == r.serial && f.ready && f.id == r.function;
    };
    auto there = std::find_if(functions->begin(), functions->end(), same);
    dpu::Function function;
    if (there != functions->end()) {
      function = *there;
    } else {
      auto opened = co_await link_.dpu().open_function(r.serial, Deadline::after(kStep), r.function);
      if (!opened) co_return fail(std::move(opened.error()));
      function = std::move(*opened);
    }
    // A function that came anew has no driver yet, and must not get dom0's before a guest's namespace is on
    // it.
    if (!function.bdf.empty()) {
      auto bound = co_await core_.ports.pci.bind_pciback(function.bdf, Deadline::after(kStep));
      if (!bound)
        core_.event("warning", "function " + function.id.value,
                    "function " + function.id.value + " is not with pciback: " + bound.error().describe());
    }
    if (function.id == r.function) continue;
    core_.event("warning", "function " + function.id.value,
                "VM " + r.vm.value + " now has function " + function.id.value + " instead of " +
                    r.function.value + ", which the DPU no longer offers; a running guest must be restarted");
    r.function = function.id;
    auto stored = co_await core_.commit(Changes().put(r));
    if (!stored) co_return stored;
  }
  co_return Result<void>{};
}

Task<Result<void>> Reconciler::sweep() {
  auto lane = co_await link_.functions_lane().acquire("sweep of functions", Deadline::after(kStep));
  if (!lane) co_return fail(std::move(lane.error()));
  auto exposures = co_await link_.dpu().list_exposures(Deadline::after(kStep));
  if (!exposures) co_return fail(std::move(exposures.error()));
  auto dropped = co_await drop_strangers(*exposures);
  if (!dropped) co_return dropped;
  co_return co_await close_strangers();
}

// Functions of ours, but nobody's: made by a call that did not live to record it. Function lane held.
Task<Result<void>> Reconciler::close_strangers() {
  std::set<std::string> serials{std::string(model::kDom0Serial)};
  for (const auto& [key, r] : core_.world.reservations())
    if (r.dpu == link_.id()) serials.insert(r.serial);
  auto functions = co_await link_.dpu().list_functions(Deadline::after(kStep));
  if (!functions) co_return fail(std::move(functions.error()));
  for (const auto& f : *functions) {
    auto inherited = core_.inherited.lower_bound({f.id, 0});
    if (inherited != core_.inherited.end() && inherited->first == f.id) continue;
    if (f.foreign || f.serial.empty() || serials.contains(f.serial) || f.serial.rfind("vnvm", 0) != 0)
      continue;
    auto closed = co_await link_.dpu().close_function(f.id, Deadline::after(kStep));
    core_.event(closed ? "info" : "warning", "function " + f.id.value,
                closed ? "function " + f.id.value + " was reserved for nobody and was closed"
                       : "function " + f.id.value +
                             " is reserved for nobody, but cannot be closed: " + closed.error().describe());
  }
  co_return Result<void>{};
}

Task<Result<void>> Reconciler::drop_strangers(const std::vector<dpu::Exposure>& exposures) {
  for (const auto& e : exposures) {
    if (e.foreign) continue;
    bool wanted = false;
    for (const auto& [key, a] : core_.world.attachments()) {
      const VolumeRecord* v = core_.world.volume(a.volume);
      wanted = wanted ||
               (v != nullptr && v->dpu_id.value == e.target && a.function == e.function && a.nsid == e.nsid);
    }
    if (wanted || core_.inherited.contains({e.function, e.nsid})) continue;
    auto gone = co_await link_.dpu().unexpose(e.function, e.nsid, Deadline::after(kStep));
    if (!gone) co_return gone;
    core_.event("info", "function " + e.function.value,
                "namespace " + std::to_string(e.nsid) + " of function " + e.function.value +
                    " belonged to nobody and was taken away");
  }
  co_return Result<void>{};
}

// A namespace is put only on the function that is its owner's (I4): the DPU may have come back without it.
Task<Result<bool>> Reconciler::still_own(AttachmentRecord attachment) {
  if (auto vm = model::vm_of_owner(attachment.owner)) {
    const ReservationRecord* r = core_.world.reservation(*vm, attachment.dpu);
    co_return r != nullptr && r->function == attachment.function;
  }
  auto opened = co_await link_.dpu().open_function(std::string(model::kDom0Serial), Deadline::after(kStep),
                                                   attachment.function);
  if (!opened) co_return fail(std::move(opened.error()));
  co_return opened->id == attachment.function;
}

Task<Result<void>> Reconciler::restore_exposures() {
  // After a reboot of the host every binding of it is void (C6): guests are gone, and dom0's devices with
  // them.
  std::vector<Change> voided;
  std::vector<AttachmentRecord> wanted;
  const std::string boot = core_.ports.pci.boot_id();
  for (const auto& [key, a] : core_.world.attachments()) {
    if (a.dpu != link_.id()) continue;
    if (a.boot_id != boot)
      voided.push_back(EraseAttachment{a.volume, a.owner});
    else
      wanted.push_back(a);
  }
  if (!voided.empty()) {
    auto stored = co_await core_.commit(std::move(voided));
    if (!stored) co_return stored;
  }
  auto exposures = co_await link_.dpu().list_exposures(Deadline::after(kStep));
  if (!exposures) co_return fail(std::move(exposures.error()));
  // Without its records the store cannot tell a running guest's namespace from a leftover: what is there when
  // a lost store begins anew stays, until somebody takes it away by hand or the host reboots.
  bool blind = core_.fresh_store && link_.first_look();
  for (const auto& [id, sr] : core_.world.srs()) blind = blind || (sr.adopted && sr.dpu == link_.id());
  for (const auto& e : *exposures)
    if (blind && !e.foreign && e.nsid != model::kScratchNsid) core_.inherited.insert({e.function, e.nsid});
  auto dropped = co_await drop_strangers(*exposures);
  if (dropped) dropped = co_await close_strangers();
  if (!dropped) co_return dropped;
  for (const AttachmentRecord& a : wanted) {
    const VolumeRecord* known = core_.world.volume(a.volume);
    if (known == nullptr || a.state == AttachState::releasing) continue;
    const DpuVolumeId lvol = known->dpu_id;  // the record may be replaced while we wait
    auto own = co_await still_own(a);
    if (!own) co_return fail(std::move(own.error()));
    if (!*own) {
      core_.event("error", "volume " + a.volume.value,
                  "function " + a.function.value + " is not that of " + model::describe_owner(a) +
                      " any more: volume " + a.volume.value +
                      " is not exposed again. Shut it down and start it");
      continue;
    }
    dpu::Expose order{a.function, a.nsid, lvol.value, a.volume.value};
    auto exposed = co_await link_.dpu().expose(order, Deadline::after(kStep));
    if (!exposed)
      core_.event("error", "volume " + a.volume.value,
                  "volume " + a.volume.value + " could not be exposed again to " + model::describe_owner(a) +
                      ": " + exposed.error().describe());
  }
  co_return Result<void>{};
}

}  // namespace vnvme::service
