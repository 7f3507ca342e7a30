// `vnvme doctor`: looks at everything that can be looked at and says what to do.
#include <nlohmann/json.hpp>

#include "model/names.hpp"
#include "service/admin_calls.hpp"

namespace vnvme::service {
namespace {

class Findings {
 public:
  void add(std::string check, const char* state, std::string text, std::string repair = {}) {
    rows_.push_back({{"check", std::move(check)},
                     {"state", state},
                     {"text", std::move(text)},
                     {"repair", std::move(repair)}});
  }
  nlohmann::json take() { return std::move(rows_); }

 private:
  nlohmann::json rows_ = nlohmann::json::array();
};

void check_sr(const Core& core, const SrRecord& sr, Findings& out) {
  std::string what = "SR " + sr.id.value;
  if (sr.adopted)
    out.add(what, "problem", "its records were lost; names and keys are missing",
            "restore the copy of state.db, or `vnvme adopt --accept-missing`");
  auto it = core.links().find(sr.dpu);
  if (it == core.links().end() || !it->second->is_ready()) return;
  const PoolView* view = static_cast<const Link&>(*it->second).view(sr.pool);
  if (view == nullptr) {
    out.add(what, "problem", "its pool is not on DPU " + sr.dpu.value,
            "check the drives with `vnvme drives`; nothing was deleted");
    return;
  }
  std::size_t missing = 0, known = 0;
  for (const VolumeRecord* v : core.world.volumes_of(sr.id)) {
    if (v->dpu_id.empty() || v->state != VolumeState::ready) continue;
    ++known;
    if (view->volumes.contains(v->dpu_id.value)) continue;
    ++missing;
    out.add("volume " + v->id.value, "problem", "is not on the DPU, yet was not destroyed through vnvme",
            "restore it from a backup, then destroy this VDI");
  }
  for (const auto& [id, seen] : view->volumes) {
    auto own = model::parse_name(seen.name);
    if (!own)
      out.add(what, "warning", "its pool holds lvol " + seen.name + ", which vnvme did not make",
              "remove it by hand if it is not needed");
    else if (core.world.volume(own->id) == nullptr && own->kind != model::NameKind::replacement)
      out.add(what, "warning", "lvol " + seen.name + " has a name of vnvme, but no record",
              "it is kept; if it is of no use, delete it on the DPU");
  }
  if (missing == 0 && !sr.adopted) out.add(what, "ok", std::to_string(known) + " volumes, all on the DPU");
  int alarm = model::fill_alarm(model::space_of(sr, core.world, view->pool, view->volumes));
  if (alarm > 0)
    out.add(what, "warning", "more than " + std::to_string(alarm) + " % of its space is used",
            "destroy volumes or snapshots; at 100 % guests get I/O errors");
  if (sr.wipe == Wipe::none)
    out.add(what, "warning", "deleted data is not erased (wipe=none)",
            "make a new SR with wipe=zero if volumes change tenants");
}

}  // namespace

Task<Result<nlohmann::json>> AdminCalls::doctor(Deadline deadline) {
  Findings out;
  if (core_.links().empty())
    out.add("DPU", "problem", "no DPU is configured", "name one in /etc/vnvme/vnvmed.json, key dpus");
  for (const auto& [id, link] : core_.links()) {
    std::string what = "DPU " + id.value;
    if (link->is_ready())
      out.add(what, "ok", link->identity().family + " " + link->identity().version);
    else
      out.add(what, "problem", "cannot be used: " + link->dpu().trouble(),
              "check that the DPU runs and that the endpoint is right");
  }
  for (const auto& [id, sr] : core_.world.srs()) check_sr(core_, sr, out);
  if (!core_.world.intents().empty())
    out.add("open operations", "warning",
            std::to_string(core_.world.intents().size()) + " operation(s) have no known outcome yet",
            "they are looked at again by themselves; see `vnvme events`");
  std::vector<Link*> links;
  for (const auto& [id, link] : core_.links())
    if (link->is_ready()) links.push_back(link.get());
  for (Link* link : links) {
    auto exposures = co_await link->dpu().list_exposures(deadline);
    if (!exposures) {
      out.add("DPU " + link->id().value, "problem",
              "its exposures cannot be listed: " + exposures.error().text, "");
      continue;
    }
    for (const auto& e : *exposures) {
      const auto& volumes = core_.world.volumes();
      auto v = std::find_if(volumes.begin(), volumes.end(),
                            [&](const auto& p) { return p.second.dpu_id.value == e.target; });
      if (e.foreign && v != volumes.end())
        out.add("volume " + v->first.value, "problem", "is exposed by somebody else, on " + e.function.value,
                "take that exposure away on the DPU: two writers destroy data");
    }
  }
  co_return out.take();
}

}  // namespace vnvme::service
