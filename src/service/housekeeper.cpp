#include "service/housekeeper.hpp"

#include "core/log.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/reconcile.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kStep = seconds(10);
constexpr auto kBusyPause =
    std::chrono::milliseconds(500);  // while something waits for a condition of the outside
constexpr auto kIdlePause = seconds(10);
constexpr auto kWatchEvery = seconds(30);

// Is a domain still there that it was attached for? One question each, however many domains a host has. A
// domain id that another VM has by now does not count.
Task<Result<bool>> domain_runs(host::Domains& domains, const AttachmentRecord& a) {
  auto vm = model::vm_of_owner(a.owner);
  for (const std::string& domain : a.domains) {
    auto domid = model::domid_of(domain);
    if (!domid || !vm) continue;
    auto owner = co_await domains.vm_of(*domid, Deadline::after(kStep));
    if (!owner) co_return fail(std::move(owner.error()));
    if (*owner && **owner == *vm) co_return true;
  }
  co_return false;
}

}  // namespace

Task<void> Housekeeper::run() {
  while (!core_.stopping()) {
    const std::uint64_t asked = core_.work.count();
    bool clean = co_await round();
    core_.guards.prune();
    if (core_.stopping()) break;
    if (core_.work.count() != asked) continue;  // something came up behind the round's back
    co_await core_.work.wait(
        Deadline::after(clean ? MonoClock::duration(kIdlePause) : MonoClock::duration(kBusyPause)));
  }
}

Task<bool> Housekeeper::round() {
  expire_pending();
  co_await store_releases();
  co_await vanished_domains();
  bool clean = co_await open_intents();
  bool step = co_await sweep();
  clean = clean && step;
  step = co_await releases();
  clean = clean && step;
  step = co_await volumes();
  clean = clean && step;
  co_await watch_space();
  co_return clean&& core_.unstored_releases.empty();
}

// The word did not come in time: the front-end is dead, or answered its caller with an error long ago.
void Housekeeper::expire_pending() {
  std::erase_if(core_.pending, [](const auto& p) { return p.second.deadline.passed(); });
}

Task<void> Housekeeper::store_releases() {
  auto waiting = std::move(core_.unstored_releases);
  core_.unstored_releases.clear();
  for (auto& [volume, domain] : waiting) {
    const VolumeRecord* v = core_.world.volume(volume);
    if (v == nullptr) continue;
    smapi::Context context{RequestId(random_uuid()), "Datapath.deactivate", "", Deadline::after(kStep)};
    (void)co_await datapath_.release(context, smapi::make_uri(v->sr, volume), domain);
  }
}

// What a lost answer or a dead daemon left behind may appear long after everybody looked. With the function
// lane in hand no attach is half-way, so a namespace of ours without a record is nobody's.
Task<bool> Housekeeper::sweep() {
  if (MonoClock::now() < next_sweep_ && !core_.sweep_soon) co_return true;
  next_sweep_ = MonoClock::now() + kWatchEvery;
  core_.sweep_soon = false;
  bool clean = true;
  std::vector<Link*> links;
  for (const auto& [id, link] : core_.links())
    if (link->is_ready()) links.push_back(link.get());
  for (Link* link : links) {
    Reconciler reconciler(core_, *link);
    auto swept = co_await reconciler.sweep();
    clean = clean && swept.has_value();
  }
  core_.sweep_soon = core_.sweep_soon || !clean;
  co_return clean;
}

Task<bool> Housekeeper::open_intents() {
  std::vector<IntentRecord> open;
  for (const auto& [id, intent] : core_.world.intents()) {
    bool waits = std::any_of(core_.pending.begin(), core_.pending.end(),
                             [&id = id](const auto& p) { return p.second.intent.id == id; });
    if (!core_.live_intents.contains(id) && !waits) open.push_back(intent);
  }
  std::erase_if(first_seen_, [&](const auto& f) { return !core_.world.intents().contains(f.first); });
  for (const IntentRecord& intent : open) {
    Link* link = ready_link(core_, intent.sr);
    if (link == nullptr) continue;
    // What the DPU was still doing when the call gave up may appear a little later: look after that.
    auto [it, fresh] = first_seen_.try_emplace(intent.id, MonoClock::now());
    if (fresh || MonoClock::now() - it->second < core_.options.limbo) continue;
    auto hold = core_.guards.try_acquire(guard_of(intent), "clean-up");
    if (!hold) continue;
    LiveIntent mine(core_, intent.id);
    auto resolved =
        co_await resolve_intent(core_, *link, intent, Absence::proven, LaneHeld::no, Deadline::after(kStep));
    if (!resolved)
      log::warning("an intent is still open",
                   {{"volume", intent.volume.value}, {"error", resolved.error().describe()}});
  }
  co_return open.empty();
}

Housekeeper::Settled Housekeeper::now() const {
  Settled out{core_.world.version(), 0};
  for (const auto& [id, link] : core_.links()) out.looks += link->looks();
  return out;
}

Task<bool> Housekeeper::volumes() {
  const Settled before = now();
  if (settled_ == before) co_return true;
  settled_.reset();
  bool clean = co_await renames();
  bool merged = co_await bases();
  clean = clean && merged;
  // A hidden snapshot that somebody clones from right now was passed over.
  if (clean && core_.pinned.empty()) settled_ = before;
  co_return clean;
}

Task<bool> Housekeeper::renames() {
  std::vector<VolumeRecord> waiting;
  for (const auto& [id, v] : core_.world.volumes())
    if (v.rename_pending && v.state == VolumeState::ready && !v.dpu_id.empty()) waiting.push_back(v);
  bool clean = true;
  for (VolumeRecord& v : waiting) {
    Link* link = ready_link(core_, v.sr);
    const SrRecord* sr = core_.world.sr(v.sr);
    if (link == nullptr || sr == nullptr || core_.stopping()) continue;
    PoolId pool = sr->pool;
    auto guard = core_.guards.try_acquire("volume " + v.id.value, "rename on the DPU");
    if (!guard) {
      clean = false;
      continue;
    }
    const VolumeRecord* now = core_.world.volume(v.id);
    if (now == nullptr || now->state != VolumeState::ready || !now->rename_pending)
      continue;  // changed meanwhile
    v = *now;
    std::string name = v.kind == VolumeKind::base
                           ? model::base_name(v.id)
                           : model::volume_name(v.id, v.name, link->dpu().capabilities().volume_name_bytes);
    auto lane = co_await link->lane(pool).acquire("rename of volume " + v.id.value, Deadline::after(kStep));
    if (!lane) co_return false;
    auto found = co_await link->probe(v.dpu_id, Deadline::after(kStep));
    if (!found) co_return false;
    if (*found && (*found)->name != name) {
      auto renamed = co_await link->dpu().rename_volume(v.dpu_id, name, Deadline::after(kStep));
      found = co_await link->probe(v.dpu_id, Deadline::after(kStep));
      if (!found || !*found || (*found)->name != name) {
        if (!renamed)
          log::warning("a volume could not be renamed on the DPU yet",
                       {{"volume", v.id.value}, {"error", renamed.error().describe()}});
        clean = false;
        continue;
      }
      link->renamed(pool, v.dpu_id, name);
    }
    v.dpu_name = name;
    v.rename_pending = false;
    auto stored = co_await core_.commit(Changes().put(v));
    clean = clean && stored.has_value();
  }
  co_return clean;
}

// Hidden snapshots that only one volume, or none, still stands on.
Task<bool> Housekeeper::bases() {
  std::map<DpuId, std::map<std::string, std::size_t>> children;  // of each parent's name
  for (const auto& [id, link] : core_.links())
    for (const auto& [pool, view] : link->views())
      for (const auto& [other, seen] : view.volumes)
        if (!seen.parent.empty()) ++children[id][seen.parent];
  std::vector<VolumeRecord> lonely;
  for (const auto& [id, v] : core_.world.volumes()) {
    if (v.kind != VolumeKind::base || v.state != VolumeState::ready || core_.pinned.contains(id) ||
        v.dpu_id.empty())
      continue;
    Link* link = ready_link(core_, v.sr);
    const SrRecord* sr = core_.world.sr(v.sr);
    const PoolView* view = link == nullptr || sr == nullptr ? nullptr : link->view(sr->pool);
    if (view == nullptr) continue;
    auto self = view->volumes.find(v.dpu_id.value);
    if (self == view->volumes.end()) continue;
    if (children[sr->dpu][self->second.name] <= 1) lonely.push_back(v);
  }
  bool clean = true;
  for (VolumeRecord& v : lonely) {
    Link* link = ready_link(core_, v.sr);
    if (link == nullptr || core_.stopping()) co_return false;
    auto guard = core_.guards.try_acquire("volume " + v.id.value, "merge of a hidden snapshot");
    if (!guard) co_return false;
    auto fresh = co_await link->dpu().find_volume(v.dpu_id, Deadline::after(kStep));
    if (!fresh || core_.pinned.contains(v.id)) co_return false;
    if (*fresh && (*fresh)->children.size() > 1) {
      link->saw(**fresh);
      continue;
    }
    v.state = VolumeState::trash;
    auto stored = co_await core_.commit(Changes().put(v));
    clean = false;
    if (!stored) co_return false;
    core_.work.notify();  // the trash is emptied elsewhere
  }
  co_return clean;
}

Task<void> Housekeeper::vanished_domains() {
  std::vector<AttachmentRecord> held;
  for (const auto& [key, a] : core_.world.attachments())
    if (a.owner != model::kDom0 && a.state != AttachState::releasing) held.push_back(a);
  for (AttachmentRecord& a : held) {
    auto runs = co_await domain_runs(core_.ports.domains, a);
    if (!runs) co_return;  // xenstore does not answer: nothing is known, nothing is done (I2)
    if (*runs) continue;
    auto guard = core_.guards.try_acquire("volume " + a.volume.value, "release of a domain that is gone");
    const AttachmentRecord* now = core_.world.attachment(a.volume, a.owner);
    if (!guard || now == nullptr || now->domains != a.domains || now->state == AttachState::releasing)
      continue;
    a.state = AttachState::releasing;
    a.mode = AttachMode::none;
    auto stored = co_await core_.commit(Changes().put(a));
    if (stored)
      core_.event("info", "volume " + a.volume.value,
                  "the domain of " + model::describe_owner(a) + " is gone: volume " + a.volume.value +
                      " is released");
  }
}

Task<bool> Housekeeper::releases() {
  std::vector<AttachmentRecord> waiting;
  for (const auto& [key, a] : core_.world.attachments())
    if (a.state == AttachState::releasing) waiting.push_back(a);
  std::erase_if(idle_, [&](const auto& i) {
    return std::none_of(waiting.begin(), waiting.end(),
                        [&](const AttachmentRecord& a) { return a.volume == i.first; });
  });
  bool clean = true;
  for (AttachmentRecord& a : waiting) {
    auto it = core_.links().find(a.dpu);
    if (it == core_.links().end() || !it->second->is_ready() || core_.stopping()) continue;
    bool done = co_await release_one(a, *it->second);
    clean = clean && done;
  }
  co_return clean;
}

// dom0 is done when it says so. A guest may still be writing (VBD.unplug of a running VM cannot be refused):
// its namespace stays until it was idle for a while, or the domain is gone.
Task<bool> Housekeeper::may_release(const AttachmentRecord& a, Link& link, const VolumeRecord& volume) {
  if (a.owner == model::kDom0) co_return true;
  auto runs = co_await domain_runs(core_.ports.domains, a);
  if (!runs) co_return false;
  if (!*runs) co_return true;
  auto stat = co_await link.dpu().io_stat(volume.dpu_id, Deadline::after(kStep));
  if (!stat) co_return false;
  auto same = [&](const dpu::IoStat& s) {
    return s.read_ops == stat->read_ops && s.write_ops == stat->write_ops;
  };
  auto [it, fresh] = idle_.try_emplace(a.volume, Idle{*stat, MonoClock::now()});
  if (fresh) co_return false;
  if (!same(it->second.stat)) {
    it->second = Idle{*stat, MonoClock::now()};
    co_return false;
  }
  co_return MonoClock::now() - it->second.since >= core_.options.idle_before_release;
}

Task<bool> Housekeeper::release_one(AttachmentRecord a, Link& link) {
  auto guard = core_.guards.try_acquire("volume " + a.volume.value, "release");
  if (!guard) co_return false;
  const AttachmentRecord* now = core_.world.attachment(a.volume, a.owner);
  if (now == nullptr || now->state != AttachState::releasing) co_return true;  // attached again meanwhile
  std::optional<VolumeRecord> volume;
  if (const VolumeRecord* known = core_.world.volume(a.volume)) volume = *known;
  if (volume) {
    bool may = co_await may_release(a, link, *volume);
    if (!may) co_return false;
  }
  auto lane =
      co_await link.functions_lane().acquire("release of volume " + a.volume.value, Deadline::after(kStep));
  if (!lane) co_return false;
  // The function may carry somebody else's namespace by now: only ours is taken away.
  auto exposures = co_await link.dpu().list_exposures(Deadline::after(kStep));
  if (!exposures) co_return false;
  for (const auto& e : *exposures) {
    bool mine = e.function == a.function && e.nsid == a.nsid && volume && e.target == volume->dpu_id.value &&
                !e.foreign;
    if (!mine) continue;
    auto gone = co_await link.dpu().unexpose(a.function, a.nsid, Deadline::after(kStep));
    if (!gone) {
      log::warning("a namespace could not be taken away yet",
                   {{"volume", a.volume.value}, {"error", gone.error().describe()}});
      co_return false;
    }
  }
  std::vector<Change> changes{EraseAttachment{a.volume, a.owner}};
  // dom0 finds its devices by uuid, and sees every volume once in a while: a number of its own for each would
  // soon be beyond what a function can have (SPDK: 32).
  if (a.owner == model::kDom0) changes.push_back(EraseNsid{a.owner, a.volume});
  auto stored = co_await core_.commit(std::move(changes));
  if (!stored) co_return false;
  idle_.erase(a.volume);
  core_.released.notify();
  co_return true;
}

Task<void> Housekeeper::watch_space() {
  if (MonoClock::now() < next_watch_) co_return;
  next_watch_ = MonoClock::now() + kWatchEvery;
  for (const auto& [id, link] : core_.links())
    if (link->is_ready() && !link->views().empty())
      (void)co_await link->refresh_pools(Deadline::after(kStep));
  for (const auto& [id, sr] : core_.world.srs()) {
    Link* link = ready_link(core_, id);
    const PoolView* view = link == nullptr ? nullptr : link->view(sr.pool);
    if (view == nullptr || sr.provisioning != Provisioning::thin) continue;
    int alarm = model::fill_alarm(model::space_of(sr, core_.world, view->pool, view->volumes));
    if (alarm > alarms_[id])
      core_.event("warning", "SR " + id.value,
                  "SR " + id.value + " (" + sr.name + ") is more than " + std::to_string(alarm) +
                      " % full; at 100 % its guests get I/O errors. Delete volumes or snapshots");
    alarms_[id] = alarm;
  }
}

}  // namespace vnvme::service
