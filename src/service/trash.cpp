#include "service/trash.hpp"

#include "core/log.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/place.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kStep = seconds(10);
constexpr auto kRetry = seconds(1);       // after something did not work
constexpr auto kIdlePause = seconds(10);  // without being called
constexpr auto kLongWork = seconds(2);    // worth telling about when it is done
// A slow drive writes zeroes at that rate; what takes longer is looked at again, not given up.
constexpr std::uint64_t kZeroBytesPerSecond = 100u << 20;

Deadline clearing(Bytes size, Wipe wipe) {
  auto bytes = wipe == Wipe::none ? 0 : size.value;
  return Deadline::after(kStep + seconds(static_cast<std::int64_t>(bytes / kZeroBytesPerSecond)));
}

}  // namespace

Task<void> Trash::run() {
  while (!core_.stopping()) {
    const std::uint64_t asked = core_.work.count();
    bool clean = co_await round();
    if (core_.stopping()) break;
    if (core_.work.count() != asked) continue;
    co_await core_.work.wait(
        Deadline::after(clean ? MonoClock::duration(kIdlePause) : MonoClock::duration(kRetry)));
  }
}

Task<bool> Trash::round() {
  const std::uint64_t version = core_.world.version();
  if (empty_ == version) co_return true;
  std::vector<VolumeRecord> waiting;
  for (const auto& [id, v] : core_.world.volumes())
    if (v.state == VolumeState::trash) waiting.push_back(v);
  auto is_over = [&](const VolumeId& id) {
    return std::none_of(waiting.begin(), waiting.end(), [&](const VolumeRecord& v) { return v.id == id; });
  };
  std::erase_if(told_, is_over);
  std::erase_if(complaints_, [&](const auto& c) { return is_over(c.first); });
  if (waiting.empty()) empty_ = version;
  bool clean = true;
  for (VolumeRecord& v : waiting) {
    if (core_.stopping()) co_return false;
    Link* link = ready_link(core_, v.sr);
    const SrRecord* sr = core_.world.sr(v.sr);
    if (link == nullptr || sr == nullptr || link->view(sr->pool) == nullptr) continue;
    SrRecord copy = *sr;
    bool freed = co_await free(v, *link, std::move(copy));
    clean = clean && freed;
  }
  co_return clean;
}

// Tried again each few seconds, maybe for days: the log has each reason once.
void Trash::complain(const VolumeId& id, const Error& why) {
  std::string now = why.describe();
  std::string& before = complaints_[id];
  if (now == before) return;
  log::warning("a destroyed volume could not be freed yet", {{"volume", id.value}, {"error", now}});
  before = std::move(now);
}

Task<bool> Trash::free(VolumeRecord v, Link& link, SrRecord sr) {
  auto guard = core_.guards.try_acquire("volume " + v.id.value, "free its space");
  if (!guard) co_return false;
  struct Shown {
    std::map<VolumeId, Freeing>& all;
    VolumeId id;
    ~Shown() { all.erase(id); }
  } shown{freeing_, v.id};
  auto found = co_await look(v, link, sr);
  if (found && *found) {
    Freeing mine{(*found)->size, Bytes{}, MonoClock::now()};
    freeing_.insert_or_assign(v.id, mine);
    auto small = co_await cut_down(v, **found, link, sr);
    Result<void> gone;
    if (!small)
      gone = fail(std::move(small.error()));
    else
      gone = co_await remove(v, *small, link, sr);
    if (!gone) found = fail(std::move(gone.error()));
  }
  if (!found) {
    complain(v.id, found.error());
    co_return false;
  }
  const VolumeRecord* now = core_.world.volume(v.id);
  if (now == nullptr || now->state != VolumeState::trash) co_return true;  // it lives on, hidden
  // The numbers that its namespaces had in VMs go with it.
  std::vector<Change> changes{Erase<VolumeId>{v.id}};
  for (std::string& owner : core_.world.owners_with_nsid(v.id))
    changes.push_back(EraseNsid{std::move(owner), v.id});
  auto stored = co_await core_.commit(std::move(changes));
  if (!stored) co_return false;
  (void)co_await link.refresh_pools(Deadline::after(kStep));
  core_.released.notify();
  co_return true;
}

Task<Result<std::optional<dpu::DpuVolume>>> Trash::look(VolumeRecord v, Link& link, SrRecord sr) {
  auto lane = co_await link.lane(sr.pool).acquire("freeing of destroyed volume " + v.id.value,
                                                  Deadline::after(kStep));
  if (!lane) co_return fail(std::move(lane.error()));
  auto found = co_await link.probe(v.dpu_id, Deadline::after(kStep));
  if (!found || !*found) co_return found;
  if (!model::parse_name((*found)->name)) {
    if (told_.insert(v.id).second)
      core_.event("error", "volume " + v.id.value,
                  "lvol " + v.dpu_id.value + " was renamed by somebody else and is not deleted");
    co_return fail(Errc::conflict, "lvol " + v.dpu_id.value + " has a name that is not ours");
  }
  if ((*found)->children.size() > 1) {
    // Others stand on it: it lives on, hidden, until one is left.
    v.kind = VolumeKind::base;
    v.state = VolumeState::ready;
    v.rename_pending = true;
    auto kept = co_await core_.commit(Changes().put(v));
    if (!kept) co_return fail(std::move(kept.error()));
    core_.work.notify();
    co_return std::nullopt;
  }
  // Under its trash name first: should the store be lost meanwhile, nobody takes it for a live volume (C5).
  std::string name = model::trash_name(v.id);
  if ((*found)->name != name) {
    auto renamed = co_await link.dpu().rename_volume(v.dpu_id, name, Deadline::after(kStep));
    if (renamed) (*found)->name = std::move(name);
  }
  co_return found;
}

Task<Result<dpu::DpuVolume>> Trash::cut_down(VolumeRecord v, dpu::DpuVolume lvol, Link& link, SrRecord sr) {
  Bytes piece = core_.options.wipe_piece;
  // A snapshot is read-only, and its one clone inherits what it holds: it can only be deleted as a whole.
  // And what still has its name of old must not be found shortened.
  bool whole = sr.wipe == Wipe::none || lvol.snapshot || lvol.read_only || !lvol.children.empty() ||
               lvol.name != model::trash_name(v.id);
  while (!whole && lvol.size > piece && !(lvol.allocated && *lvol.allocated <= piece)) {
    if (core_.stopping()) co_return fail(Errc::cancelled, "the daemon stops");
    auto lane = co_await link.lane(sr.pool).acquire("erasing of destroyed volume " + v.id.value,
                                                    Deadline::after(kStep));
    if (!lane) co_return fail(std::move(lane.error()));
    auto begin = MonoClock::now();
    auto cut = co_await link.shrink(lvol.id, lvol.size - piece, clearing(piece, sr.wipe));
    if (!cut && cut.error().outcome == Outcome::not_done) break;  // then as a whole
    if (!cut) co_return fail(std::move(cut.error()));
    lvol = std::move(*cut);
    Freeing& mine = freeing_[v.id];
    mine.done = mine.total - lvol.size;
    piece = model::next_wipe_piece(piece, MonoClock::now() - begin, core_.options.wipe_piece);
  }
  co_return lvol;
}

Task<Result<void>> Trash::remove(VolumeRecord v, dpu::DpuVolume lvol, Link& link, SrRecord sr) {
  auto lane = co_await link.lane(sr.pool).acquire("freeing of destroyed volume " + v.id.value,
                                                  Deadline::after(kStep));
  if (!lane) co_return fail(std::move(lane.error()));
  auto removed = co_await link.remove(lvol.id, clearing(lvol.size, sr.wipe));
  const Freeing& mine = freeing_[v.id];
  auto took = std::chrono::duration_cast<seconds>(MonoClock::now() - mine.since);
  if (removed && took >= kLongWork && sr.wipe != Wipe::none)
    core_.event("info", "volume " + v.id.value,
                "destroyed volume " + v.id.value + " (" + human(mine.total) + ") was erased in " +
                    std::to_string(took.count()) + " s");
  co_return removed;
}

}  // namespace vnvme::service
