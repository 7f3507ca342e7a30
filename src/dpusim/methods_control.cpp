// Control calls, which no real target has: faults, latency, data, and the whole truth.
#include <cerrno>

#include "dpusim/base64.hpp"
#include "dpusim/faults.hpp"
#include "dpusim/methods.hpp"
#include "dpusim/nvmf.hpp"
#include "dpusim/params.hpp"
#include "dpusim/snap.hpp"
#include "dpusim/target.hpp"

namespace vnvme::sim {
namespace {

constexpr std::uint64_t kMostBytes = 16u << 20;  // one sim_read

Reply read_data(Target& t, const Json* params) {
  auto args = Args::decode(
      params, {{"bdev", Type::text, true}, {"offset", Type::number}, {"length", Type::number, true}});
  if (!args) return refuse(kInvalidParams, "sim_read takes bdev, offset, length");
  Bdev* bdev = t.bdevs.find(*args->text("bdev"));
  auto length = *args->number("length");
  if (bdev == nullptr) return refuse_errno(ENODEV);
  if (length > kMostBytes) return refuse(kInvalidParams, "at most 16 MiB at once");
  std::string bytes(length, '\0');
  if (int e = t.read(*bdev, args->number_or("offset", 0), bytes); e != 0) return refuse_errno(e);
  return base64(bytes);
}

Reply write_data(Target& t, const Json* params) {
  auto args = Args::decode(
      params, {{"bdev", Type::text, true}, {"offset", Type::number}, {"data", Type::text, true}});
  if (!args) return refuse(kInvalidParams, "sim_write takes bdev, offset, data (base64)");
  Bdev* bdev = t.bdevs.find(*args->text("bdev"));
  auto bytes = from_base64(*args->text("data"));
  if (bdev == nullptr) return refuse_errno(ENODEV);
  if (!bytes) return refuse(kInvalidParams, "data is not base64");
  if (int e = t.write(*bdev, args->number_or("offset", 0), *bytes); e != 0) return refuse_errno(e);
  return true;
}

// Whole ranges without their bytes on the wire.
Reply fill_data(Target& t, const Json* params) {
  auto args = Args::decode(params, {{"bdev", Type::text, true},
                                    {"offset", Type::number},
                                    {"length", Type::number, true},
                                    {"how", Type::text, true}});
  Bdev* bdev = args ? t.bdevs.find(*args->text("bdev")) : nullptr;
  if (!args) return refuse(kInvalidParams, "sim_fill takes bdev, offset, length, how (zero, unmap)");
  if (bdev == nullptr) return refuse_errno(ENODEV);
  auto offset = args->number_or("offset", 0), length = *args->number("length");
  auto how = *args->text("how");
  if (how != "zero" && how != "unmap") return refuse(kInvalidParams, "how is zero or unmap");
  if (int e = how == "zero" ? t.zero(*bdev, offset, length) : t.unmap(*bdev, offset, length); e != 0)
    return refuse_errno(e);
  return true;
}

Reply set_latency(Target& t, const Json* params) {
  auto args = Args::decode(params, {{"method", Type::text, true}, {"ms", Type::number, true}});
  if (!args || *args->number("ms") > 600'000)
    return refuse(kInvalidParams, "sim_latency takes method, ms (at most 600000)");
  t.latency[*args->text("method")] = *args->number("ms");
  return true;
}

Json lvol_dump(const Lvstore& s, const Lvol& l) {
  Json clones = Json::array();
  for (auto id : l.clones)
    if (const Lvol* clone = s.by_id(id); clone != nullptr) clones.push_back(clone->uuid);
  const Lvol* parent = s.by_id(l.parent);
  return {{"uuid", l.uuid},
          {"name", l.name},
          {"size", l.clusters * s.cluster_size()},
          {"allocated_clusters", l.map.count()},
          {"thin", l.thin},
          {"snapshot", l.snapshot},
          {"read_only", l.read_only},
          {"parent", parent == nullptr ? Json() : Json(parent->uuid)},
          {"clones", std::move(clones)},
          {"busy", l.busy}};
}

Reply dump(Target& t, const Json* params) {
  if (params != nullptr && !Args::decode(params, {}))
    return refuse(kInvalidParams, "sim_dump takes no parameters");
  Json stores = Json::array(), bdevs = Json::array();
  for (const auto& s : t.stores()) {
    Json lvols = Json::array();
    for (const auto& [id, lvol] : s->lvols()) lvols.push_back(lvol_dump(*s, *lvol));
    stores.push_back({{"uuid", s->uuid()},
                      {"name", s->name()},
                      {"base_bdev", s->base_bdev},
                      {"cluster_size", s->cluster_size()},
                      {"total_clusters", s->total_clusters()},
                      {"free_clusters", s->free_clusters()},
                      {"lvols", std::move(lvols)}});
  }
  for (const auto& [order, b] : t.bdevs.all())
    if (b->kind != Kind::lvol)
      bdevs.push_back(
          {{"name", b->name}, {"uuid", b->uuid}, {"bytes", b->bytes()}, {"claimed_by", b->claimed_by}});
  Json limits = Json::object();
  for (const auto& [order, b] : t.bdevs.all())
    if (!b->limits.empty()) limits[b->name] = b->limits;
  return Json{{"profile", t.profile.name()},
              {"stores", std::move(stores)},
              {"bdevs", std::move(bdevs)},
              {"limits", std::move(limits)},
              {"nvmf", t.nvmf->exposures()},
              {"snap", t.snap->dump()},
              {"slots", t.slots ? t.slots->dump() : Json::array()},
              {"faults", t.faults->json()},
              {"counters",
               {{"calls", t.counters.calls},
                {"overlapping_mutations", t.counters.overlapping_mutations},
                {"faults_hit", t.faults->hits()}}}};
}

}  // namespace

void add_control_methods(Target& target) {
  Target* t = &target;
  t->on_sync("sim_read", [t](const Json* params) { return read_data(*t, params); });
  t->on_sync("sim_write", [t](const Json* params) { return write_data(*t, params); });
  t->on_sync("sim_fill", [t](const Json* params) { return fill_data(*t, params); });
  t->on_sync("sim_latency", [t](const Json* params) { return set_latency(*t, params); });
  t->on_sync("sim_dump", [t](const Json* params) { return dump(*t, params); });
  t->on_sync("sim_fault_add", [t](const Json* params) { return t->faults->add(params); });
  t->on_sync("sim_fault_clear", [t](const Json*) -> Reply {
    t->faults->clear();
    return true;
  });
}

}  // namespace vnvme::sim
