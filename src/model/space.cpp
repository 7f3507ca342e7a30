#include "model/space.hpp"

#include <unordered_map>

namespace vnvme::model {

double Space::used_percent() const {
  if (total.value == 0) return 0;
  return 100.0 * static_cast<double>((total - available()).value) / static_cast<double>(total.value);
}

Space space_of(const SrRecord& sr, const World& world, const dpu::Pool& pool, const Observed& observed) {
  Space space{pool.total, pool.free, {}};
  if (sr.provisioning != Provisioning::thick) return space;
  for (const VolumeRecord* v : world.volumes_of(sr.id)) {
    if (v->kind != VolumeKind::data || v->state == VolumeState::trash) continue;
    auto it = observed.find(v->dpu_id.value);
    if (it == observed.end() || !it->second.thin || !it->second.allocated) continue;
    space.reserved = space.reserved + (v->size - *it->second.allocated);
  }
  return space;
}

Result<void> may_allocate(const SrRecord& sr, const Space& space, Bytes growth) {
  if (sr.provisioning == Provisioning::thick) {
    if (growth <= space.available()) return {};
    return fail(Errc::no_space, "SR " + sr.id.value + " has " + human(space.available()) + " left of " +
                                    human(space.total) + " and " + human(growth) +
                                    " are needed; delete volumes or choose a smaller size");
  }
  if (space.total.value == 0 || space.used_percent() < kThinFullPercent) return {};
  return fail(
      Errc::no_space,
      "SR " + sr.id.value + " is thin and " + std::to_string(static_cast<int>(space.used_percent())) +
          " % full: no new volume above 95 %, or running guests would get I/O errors; delete volumes first");
}

std::size_t depth_of(const Observed& observed, const std::string& name) {
  std::unordered_map<std::string, const std::string*> parent;
  for (const auto& [id, o] : observed) parent[o.name] = &o.parent;
  std::size_t depth = 0;
  auto it = parent.find(name);
  while (it != parent.end() && !it->second->empty() && depth <= observed.size()) {
    ++depth;
    it = parent.find(*it->second);
  }
  return depth;
}

Bytes next_wipe_piece(Bytes piece, MonoClock::duration took, Bytes least) {
  constexpr Bytes kMost = GiB(4096);
  if (took < std::chrono::milliseconds(1000) && piece < kMost) return Bytes{piece.value * 2};
  if (took > std::chrono::milliseconds(3000)) return std::max(Bytes{piece.value / 2}, least);
  return piece;
}

int fill_alarm(const Space& space) {
  double used = space.used_percent();
  return used >= 95 ? 95 : used >= 90 ? 90 : used >= 80 ? 80 : 0;
}

}  // namespace vnvme::model
