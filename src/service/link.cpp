#include "service/link.hpp"

#include "core/log.hpp"
#include "service/reconcile.hpp"

namespace vnvme::service {
namespace {
using std::chrono::seconds;
constexpr auto kList = seconds(30);
constexpr auto kShort = seconds(10);
constexpr auto kStarting = seconds(5);
constexpr auto kProbePause = std::chrono::milliseconds(200);
// Waits on the connection are cut into pieces, so that stop() is noticed.
constexpr auto kWatch = seconds(3600);
}  // namespace

Link::Link(Core& core, DpuId id, std::unique_ptr<dpu::Dpu> client)
    : core_(core),
      id_(std::move(id)),
      client_(std::move(client)),
      functions_lane_("the function lane of DPU " + id_.value) {
  dpu::NameOf name_of = [&core](const DpuVolumeId& lvol) -> std::optional<std::string> {
    for (const auto& [volume, record] : core.world.volumes())
      if (record.dpu_id == lvol) return record.dpu_name;
    return std::nullopt;
  };
  client_->use_names(std::move(name_of));
}

bool Link::is_starting() const {
  return !ready_ && looks_ == 0 && MonoClock::now() - started_ < kStarting;
}

void Link::start() {
  started_ = MonoClock::now();
  core_.spawn([this]() -> Task<void> { co_await supervise(); });
}

void Link::stop() {
  ready_ = false;
  client_->shutdown();
  changed_.notify();
}

Task<Result<void>> Link::ready(Deadline deadline) {
  while (!ready_ && !deadline.passed() && !core_.stopping()) co_await changed_.wait(deadline);
  if (ready_) co_return Result<void>{};
  if (core_.stopping()) co_return fail(Errc::cancelled, "vnvmed is stopping");
  std::string why = client_->trouble();
  if (why.empty()) why = "it is connected, but its pools and volumes could not be listed yet";
  co_return fail(Errc::unreachable, "DPU " + id_.value + " cannot be used now: " + why);
}

Lane& Link::lane(const PoolId& pool) {
  return lanes_.try_emplace(pool, "the lane of pool " + pool.value).first->second;
}

std::map<std::string, Lane::Busy> Link::lane_holders() const {
  std::map<std::string, Lane::Busy> out;
  for (const auto& [pool, lane] : lanes_)
    if (auto busy = lane.holder()) out.emplace("pool " + pool.value, *busy);
  if (auto busy = functions_lane_.holder()) out.emplace("functions of " + id_.value, *busy);
  return out;
}

PoolView* Link::view(const PoolId& pool) {
  auto it = views_.find(pool);
  return it == views_.end() ? nullptr : &it->second;
}
const PoolView* Link::view(const PoolId& pool) const {
  auto it = views_.find(pool);
  return it == views_.end() ? nullptr : &it->second;
}

void Link::saw(const dpu::DpuVolume& volume) {
  if (PoolView* v = view(volume.pool)) v->volumes[volume.id.value] = volume;
}
void Link::lost(const PoolId& pool, const DpuVolumeId& id) {
  PoolView* v = view(pool);
  if (v == nullptr) return;
  auto it = v->volumes.find(id.value);
  if (it == v->volumes.end()) return;
  // Deleting a snapshot with one clone merges it into the clone, which then stands on the snapshot's parent.
  for (auto& [other, volume] : v->volumes)
    if (volume.parent == it->second.name) volume.parent = it->second.parent;
  v->volumes.erase(it);
}

void Link::renamed(const PoolId& pool, const DpuVolumeId& id, const std::string& name) {
  PoolView* v = view(pool);
  auto it = v == nullptr ? model::Observed::iterator{} : v->volumes.find(id.value);
  if (v == nullptr || it == v->volumes.end()) return;
  // SPDK names parents and clones, so theirs change as well.
  for (auto& [other, volume] : v->volumes)
    if (volume.parent == it->second.name) volume.parent = name;
  it->second.name = name;
}

Task<void> Link::supervise() {
  std::uint64_t seen = 0;
  while (!core_.stopping()) {
    auto generation = co_await client_->wait_generation(seen, Deadline::after(kWatch));
    if (!generation) {
      if (generation.error().code != Errc::timeout && !core_.stopping()) co_await pause_for(seconds(1));
      continue;
    }
    seen = *generation;
    auto looked = co_await look();
    // While the session lasts a failed look is tried again: nobody may change anything before it worked.
    while (!looked && !core_.stopping() && client_->connected() && client_->generation() == seen) {
      log::warning("the DPU could not be looked at",
                   {{"dpu", id_.value}, {"error", looked.error().describe()}});
      co_await pause_for(seconds(1));
      looked = co_await look();
    }
    if (!looked) continue;
    core_.event("info", "dpu " + id_.value,
                "DPU " + id_.value + " is connected and was looked at: " + std::to_string(views_.size()) +
                    " pool(s)");
    while (!core_.stopping() && client_->generation() == seen) {
      auto gone = co_await client_->wait_lost(Deadline::after(kWatch));
      if (gone) break;
    }
    ready_ = false;
    if (!core_.stopping())
      core_.event("warning", "dpu " + id_.value, "DPU " + id_.value + " was lost: " + client_->trouble());
  }
  ready_ = false;
}

void Link::look_again() {
  core_.spawn([this]() -> Task<void> {
    auto looked = co_await look();
    if (!looked)
      log::warning("the DPU could not be looked at",
                   {{"dpu", id_.value}, {"error", looked.error().describe()}});
  });
}

Task<Result<void>> Link::look() {
  auto identity = co_await client_->identify(Deadline::after(kShort));
  if (!identity) co_return fail(std::move(identity.error()));
  identity_ = *identity;
  Reconciler reconciler(core_, *this);
  auto raids = co_await reconciler.restore_raids();
  if (!raids) co_return raids;
  auto settled = co_await client_->settle(Deadline::after(seconds(600)));
  if (!settled) co_return settled;
  auto pools = co_await refresh_pools(Deadline::after(kList));
  if (!pools) co_return pools;
  std::vector<PoolId> ids;
  for (const auto& [pool, v] : views_) ids.push_back(pool);
  for (const PoolId& pool : ids) {
    auto volumes = co_await refresh_volumes(pool, Deadline::after(kList));
    if (!volumes) co_return volumes;
  }
  auto recognised = co_await reconciler.recognise();
  if (!recognised) co_return recognised;
  // From here on volumes without pending intents are served (C2); those with one are guarded by the
  // reconciler.
  auto guarded = reconciler.guard_intents();
  ready_ = true;
  changed_.notify();
  co_await reconciler.converge(std::move(guarded));
  ++looks_;
  core_.work.notify();
  core_.spares.notify();
  co_return Result<void>{};
}

Task<Result<void>> Link::refresh_pools(Deadline deadline) {
  auto pools = co_await client_->list_pools(deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  std::map<PoolId, PoolView> fresh;
  for (auto& pool : *pools) {
    PoolView& slot = fresh[pool.id];
    if (PoolView* old = view(pool.id)) slot.volumes = std::move(old->volumes);
    slot.pool = std::move(pool);
  }
  views_ = std::move(fresh);
  co_return Result<void>{};
}

Task<Result<void>> Link::refresh_volumes(PoolId pool, Deadline deadline) {
  auto volumes = co_await client_->list_volumes(pool, deadline);
  if (!volumes) co_return fail(std::move(volumes.error()));
  PoolView* v = view(pool);
  if (v == nullptr) co_return Result<void>{};
  v->volumes.clear();
  for (auto& volume : *volumes) v->volumes.emplace(volume.id.value, std::move(volume));
  co_return Result<void>{};
}

Task<Result<std::optional<dpu::DpuVolume>>> Link::probe(PoolId pool, std::string name, Deadline deadline) {
  while (true) {
    auto found = co_await client_->find_volume(pool, name, deadline.capped(kShort));
    if (found || deadline.passed() || core_.stopping()) co_return found;
    co_await pause_for(kProbePause);
  }
}

Task<Result<std::optional<dpu::DpuVolume>>> Link::probe(DpuVolumeId id, Deadline deadline) {
  while (true) {
    auto found = co_await client_->find_volume(id, deadline.capped(kShort));
    if (found || deadline.passed() || core_.stopping()) co_return found;
    co_await pause_for(kProbePause);
  }
}

Task<Result<dpu::DpuVolume>> Link::confirm_made(Result<DpuVolumeId> answer, PoolId pool, std::string name,
                                                Deadline deadline) {
  if (!answer && answer.error().outcome == Outcome::not_done) co_return fail(std::move(answer.error()));
  auto found = co_await probe(pool, name, deadline);
  if (found && *found) {
    saw(**found);
    co_return std::move(**found);
  }
  if (!answer) {
    // Absent now is no proof that the DPU does not still make it: the intent stays until it was looked at
    // again.
    answer.error().outcome = Outcome::unknown;
    co_return fail(std::move(answer.error()));
  }
  if (!found) {
    found.error().outcome = Outcome::unknown;
    co_return fail(std::move(found.error()));
  }
  co_return fail(Error{Errc::conflict, Outcome::unknown,
                       "the DPU said that it made volume " + name + ", yet does not list it", "read back",
                       id_.value});
}

Task<Result<void>> Link::check_unexposed(dpu::DpuVolume lvol, Deadline deadline) {
  auto exposures = co_await client_->list_exposures(deadline);
  if (!exposures) co_return fail(std::move(exposures.error()));
  for (const auto& e : *exposures)
    if (e.target == lvol.id.value)
      co_return fail(Errc::in_use, "lvol " + lvol.name + " is namespace " + std::to_string(e.nsid) +
                                       " of function " + e.function.value +
                                       " and is not deleted while it is exposed");
  co_return Result<void>{};
}

Task<Result<dpu::DpuVolume>> Link::shrink(DpuVolumeId id, Bytes size, Deadline deadline) {
  auto present = co_await client_->find_volume(id, deadline.capped(kShort));
  if (!present) co_return fail(std::move(present.error()));
  if (!*present) co_return fail(Errc::not_found, "lvol " + id.value + " is gone");
  if ((*present)->size <= size) co_return std::move(**present);
  auto unexposed = co_await check_unexposed(**present, deadline.capped(kList));
  if (!unexposed) co_return fail(std::move(unexposed.error()));
  auto cut = co_await client_->shrink_volume(id, size, deadline);
  if (!cut && cut.error().outcome == Outcome::not_done) co_return fail(std::move(cut.error()));
  auto after = co_await probe(id, deadline);
  if (after && *after && (*after)->size <= size) {
    saw(**after);
    co_return std::move(**after);
  }
  if (!cut) co_return fail(std::move(cut.error()));
  co_return fail(Error{Errc::conflict, Outcome::unknown,
                       "the DPU said that it cut lvol " + id.value + " down, yet does not show it",
                       "read back", id_.value});
}

Task<Result<void>> Link::remove(DpuVolumeId id, Deadline deadline) {
  auto present = co_await client_->find_volume(id, deadline.capped(kShort));
  if (!present) co_return fail(std::move(present.error()));
  if (!*present) co_return Result<void>{};
  PoolId pool = (*present)->pool;
  auto unexposed = co_await check_unexposed(**present, deadline.capped(kList));
  if (!unexposed) co_return unexposed;
  auto deleted = co_await client_->delete_volume(id, deadline);
  if (!deleted && deleted.error().outcome == Outcome::not_done && deleted.error().code != Errc::not_found)
    co_return deleted;
  auto after = co_await probe(id, deadline);
  if (!after) {
    after.error().outcome = Outcome::unknown;
    co_return fail(std::move(after.error()));
  }
  if (!*after) {
    lost(pool, id);
    co_return Result<void>{};
  }
  if (!deleted) co_return deleted;
  co_return fail(Error{Errc::conflict, Outcome::unknown,
                       "the DPU said that it deleted lvol " + (*after)->name + ", yet lists it", "read back",
                       id_.value});
}

}  // namespace vnvme::service
