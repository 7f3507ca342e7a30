#include "service/admin_calls.hpp"

#include <nlohmann/json.hpp>

#include "core/json.hpp"
#include "core/text.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"
#include "service/admin_text.hpp"
#include "service/drive_check.hpp"
#include "service/reservations.hpp"

namespace vnvme::service {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr std::size_t kEventsAtOnce = 1000;

const dpu::DpuVolume* observed(const Core& core, const VolumeRecord& v) {
  const SrRecord* sr = core.world.sr(v.sr);
  auto it = sr == nullptr ? core.links().end() : core.links().find(sr->dpu);
  if (it == core.links().end()) return nullptr;
  const PoolView* view = static_cast<const Link&>(*it->second).view(sr->pool);
  if (view == nullptr) return nullptr;
  auto found = view->volumes.find(v.dpu_id.value);
  return found == view->volumes.end() ? nullptr : &found->second;
}

// What SR.create would take (SrCalls, check_type).
std::vector<std::string> sr_types(const dpu::Capabilities& can) {
  std::vector<std::string> out;
  if (can.snapshot && can.clone && can.resize) out.emplace_back("vnvme");
  out.emplace_back("vnvme-raw");
  return out;
}

std::vector<Link*> ready_links(const Core& core) {
  std::vector<Link*> out;
  for (const auto& [id, link] : core.links())
    if (link->is_ready()) out.push_back(link.get());
  return out;
}

}  // namespace

AdminCalls::AdminCalls(Core& core, Trash& trash) : core_(core), trash_(trash), started_(MonoClock::now()) {}

Task<Result<nlohmann::json>> AdminCalls::call(std::string verb, nlohmann::json args, Deadline deadline) {
  if (verb == "status") co_return status();
  if (verb == "dpu") co_return dpus();
  if (verb == "volumes") co_return volumes(text_of(args, "sr").value_or(""));
  if (verb == "attachments") co_return attachments();
  if (verb == "events") co_return events(args);
  if (verb == "drives") co_return co_await drives(std::move(args), deadline);
  if (verb == "pools") co_return co_await pools(deadline);
  if (verb == "functions") co_return co_await functions(deadline);
  if (verb == "doctor") co_return co_await doctor(deadline);
  if (verb == "reserve") co_return co_await reserve(std::move(args), deadline);
  if (verb == "unreserve") co_return co_await unreserve(std::move(args), deadline);
  if (verb == "adopt") co_return co_await adopt(std::move(args), deadline);
  co_return fail(Errc::invalid_argument,
                 "there is no verb '" + printable(verb, 40) + "'; run `vnvme --help`");
}

nlohmann::json AdminCalls::dpus() {
  Json out = Json::array();
  for (const auto& [id, link] : core_.links()) {
    std::string name = id.value;
    for (const auto& [n, uri] : core_.options.dpu_names)
      if (uri == id) name = n;
    out.push_back({{"dpu", id.value},
                   {"name", name},
                   {"connected", link->dpu().connected()},
                   {"ready", link->is_ready()},
                   {"family", link->identity().family},
                   {"version", link->identity().version},
                   {"trouble", link->dpu().trouble()},
                   {"generation", link->dpu().generation()},
                   {"sr_types", sr_types(link->dpu().capabilities())},
                   {"raid_levels", link->dpu().capabilities().raid_levels}});
  }
  return out;
}

// The SRs with their health and space, as they were last seen.
nlohmann::json AdminCalls::srs() {
  Json srs = Json::array();
  for (const auto& [id, sr] : core_.world.srs()) {
    auto it = core_.links().find(sr.dpu);
    const Link* link = it == core_.links().end() ? nullptr : it->second.get();
    const PoolView* view = link == nullptr ? nullptr : link->view(sr.pool);
    bool healthy = link != nullptr && link->is_ready() && view != nullptr;
    Bytes total = view == nullptr ? sr.total : view->pool.total;
    Bytes free = view == nullptr ? sr.free : view->pool.free;
    std::size_t count = 0;
    for (const VolumeRecord* v : core_.world.volumes_of(id))
      count += v->state == VolumeState::ready && v->kind != VolumeKind::base ? 1 : 0;
    std::string text = healthy                               ? ""
                       : link != nullptr && link->is_ready() ? "its pool is not on the DPU"
                                                             : "its DPU cannot be reached";
    if (sr.adopted) text = "names and keys were lost; see `vnvme adopt --help`";
    srs.push_back({{"sr", id.value},
                   {"name", sr.name},
                   {"type", sr.type},
                   {"state", name_of(sr.state)},
                   {"attached", sr.attached},
                   {"dpu", sr.dpu.value},
                   {"pool", sr.pool.value},
                   {"drives", sr.drives},
                   {"raid", sr.raid_level},
                   {"provisioning", sr.provisioning == Provisioning::thin ? "thin" : "thick"},
                   {"health", healthy && !sr.adopted ? "healthy" : "trouble"},
                   {"health_text", text},
                   {"total", total.value},
                   {"free", free.value},
                   {"volumes", count}});
  }
  return srs;
}

nlohmann::json AdminCalls::busy() {
  Json busy = Json::array();
  auto add = [&busy](const std::string& object, const Lane::Busy& holder) {
    busy.push_back({{"what", holder.what},
                    {"object", object},
                    {"since_ms", duration_cast<milliseconds>(MonoClock::now() - holder.since).count()}});
  };
  for (const auto& [object, holder] : core_.guards.holders()) add(object, holder);
  for (const auto& [dpu, link] : core_.links())
    for (const auto& [object, holder] : link->lane_holders()) add(object, holder);
  return busy;
}

nlohmann::json AdminCalls::wipes() {
  Json wipes = Json::array();
  for (const auto& [id, f] : trash_.freeing()) {
    auto ms = duration_cast<milliseconds>(MonoClock::now() - f.since).count();
    Json row{{"volume", id.value}, {"done", f.done.value}, {"total", f.total.value}, {"since_ms", ms}};
    if (ms > 0 && f.done.value > 0) {
      double rate = static_cast<double>(f.done.value) * 1000 / static_cast<double>(ms);
      row["rate"] = static_cast<std::uint64_t>(rate);
      row["eta_s"] = static_cast<std::uint64_t>(static_cast<double>((f.total - f.done).value) / rate);
    }
    wipes.push_back(std::move(row));
  }
  return wipes;
}

nlohmann::json AdminCalls::status() {
  std::size_t releasing = 0;
  for (const auto& [key, a] : core_.world.attachments())
    releasing += a.state == AttachState::releasing ? 1 : 0;
  Json trash = Json::array();
  for (const auto& [id, v] : core_.world.volumes())
    if (v.state == VolumeState::trash) trash.push_back(id.value);
  bool ready = std::all_of(core_.links().begin(), core_.links().end(),
                           [](const auto& l) { return l.second->is_ready(); });
  return {{"version", VNVME_VERSION},
          {"uptime_s", duration_cast<seconds>(MonoClock::now() - started_).count()},
          {"ready", ready},
          {"dpus", dpus()},
          {"srs", srs()},
          {"volumes_total", core_.world.volumes().size()},
          {"attachments_total", core_.world.attachments().size()},
          {"intents", core_.world.intents().size()},
          {"queue", releasing},
          {"trash", trash},
          {"busy", busy()},
          {"wipes", wipes()}};
}

nlohmann::json AdminCalls::volumes(const std::string& sr) {
  Json out = Json::array();
  for (const auto& [sr_id, record] : core_.world.srs()) {
    if (!sr.empty() && sr_id.value != sr) continue;
    for (const VolumeRecord* v : core_.world.volumes_of(sr_id)) {
      const dpu::DpuVolume* seen = observed(core_, *v);
      Json row{{"sr", sr_id.value},
               {"volume", v->id.value},
               {"name", v->name},
               {"kind", name_of(v->kind)},
               {"state", name_of(v->state)},
               {"size", v->size.value},
               {"allocated", nullptr},
               {"parent", v->parent.value},
               {"owner", ""},
               {"function", ""},
               {"bdf", ""},
               {"dpu_name", seen != nullptr ? seen->name : v->dpu_name},
               {"read_only", v->kind != VolumeKind::data},
               {"missing", seen == nullptr && !v->dpu_id.empty()}};
      if (seen != nullptr && seen->allocated) row["allocated"] = seen->allocated->value;
      for (const AttachmentRecord* a : core_.world.attachments_of(v->id)) {
        row["owner"] = a->owner;
        row["function"] = a->function.value;
      }
      out.push_back(std::move(row));
    }
  }
  return out;
}

nlohmann::json AdminCalls::attachments() {
  Json out = Json::array();
  for (const auto& [key, a] : core_.world.attachments()) {
    const VolumeRecord* v = core_.world.volume(a.volume);
    out.push_back({{"volume", a.volume.value},
                   {"name", v == nullptr ? "" : v->name},
                   {"owner", a.owner},
                   {"domains", a.domains},
                   {"function", a.function.value},
                   {"bdf", ""},
                   {"nsid", a.nsid},
                   {"mode", name_of(a.mode)},
                   {"state", name_of(a.state)},
                   {"device", a.device}});
  }
  return out;
}

nlohmann::json AdminCalls::events(const Json& args) {
  Json out = Json::array();
  auto since = number_of(args, "since");
  auto list = since ? core_.ports.events.since(*since, kEventsAtOnce)
                    : core_.ports.events.latest(number_of(args, "max").value_or(kEventsAtOnce));
  std::uint64_t next = since.value_or(0);
  for (const Event& e : list) {
    out.push_back(
        {{"seq", e.seq}, {"wall_ms", e.wall_ms}, {"level", e.level}, {"object", e.object}, {"text", e.text}});
    next = e.seq;
  }
  if (list.empty() && !since) next = core_.ports.events.last();
  return {{"next", next}, {"events", out}};
}

Result<Link*> AdminCalls::the_link(const Json& args) {
  auto wanted = text_of(args, "dpu");
  if (wanted && !wanted->empty()) {
    DpuId id = core_.resolve_dpu(*wanted);
    auto it = core_.links().find(id);
    if (it == core_.links().end())
      return fail(Errc::not_found,
                  "there is no DPU '" + printable(*wanted, 80) + "'; `vnvme dpu` lists them");
    return it->second.get();
  }
  if (core_.links().size() == 1) return core_.links().begin()->second.get();
  return fail(Errc::invalid_argument, core_.links().empty()
                                          ? "no DPU is configured; name one in /etc/vnvme/vnvmed.json"
                                          : "there are several DPUs; say which with --dpu");
}

Task<Result<nlohmann::json>> AdminCalls::drives(Json args, Deadline deadline) {
  Json out = Json::array();
  for (Link* link : ready_links(core_)) {
    auto list = co_await link->dpu().list_drives(deadline);
    if (!list) co_return fail(std::move(list.error()));
    for (const auto& d : *list) {
      DriveVerdict verdict = judge_use(d);
      if (verdict.takeable && flag_of(args, "look").value_or(false)) {
        auto lane = co_await link->functions_lane().acquire("look at drives", deadline);
        if (!lane) co_return fail(std::move(lane.error()));
        verdict = co_await judge_contents(core_, *link, d, deadline);
      }
      out.push_back({{"dpu", link->id().value},
                     {"name", d.name},
                     {"model", d.model},
                     {"serial", d.serial},
                     {"size", d.size.value},
                     {"claimed", d.claimed},
                     {"used_by", d.used_by},
                     {"takeable", verdict.takeable},
                     {"reason", verdict.reason},
                     {"volatile", d.volatile_data}});
    }
  }
  co_return out;
}

Task<Result<nlohmann::json>> AdminCalls::pools(Deadline deadline) {
  Json out = Json::array();
  for (Link* link : ready_links(core_)) {
    auto fresh = co_await link->refresh_pools(deadline);
    if (!fresh) co_return fail(std::move(fresh.error()));
    auto raids = co_await link->dpu().list_raids(deadline);
    for (const auto& [id, view] : link->views()) {
      Json row{{"dpu", link->id().value},
               {"pool", id.value},
               {"name", view.pool.name},
               {"drive", view.pool.drive},
               {"raid", ""},
               {"raid_state", ""},
               {"rebuild_percent", nullptr},
               {"total", view.pool.total.value},
               {"free", view.pool.free.value},
               {"cluster", view.pool.cluster.value},
               {"sr", ""},
               {"volumes", view.volumes.size()},
               {"foreign", !model::sr_of_pool_name(view.pool.name).has_value()}};
      for (const auto& [sr_id, sr] : core_.world.srs())
        if (sr.pool == id && sr.dpu == link->id()) row["sr"] = sr_id.value;
      if (raids)
        for (const auto& raid : *raids)
          if (raid.name == view.pool.drive) {
            row["raid"] = raid.level;
            row["raid_state"] = raid.state;
            if (raid.rebuild_percent) row["rebuild_percent"] = *raid.rebuild_percent;
          }
      out.push_back(std::move(row));
    }
  }
  co_return out;
}

Task<Result<nlohmann::json>> AdminCalls::functions(Deadline deadline) {
  Json out = Json::array();
  for (Link* link : ready_links(core_)) {
    auto list = co_await link->dpu().list_functions(deadline);
    if (!list) co_return fail(std::move(list.error()));
    auto exposures = co_await link->dpu().list_exposures(deadline);
    if (!exposures) co_return fail(std::move(exposures.error()));
    for (const auto& f : *list) {
      std::string driver;
      if (!f.bdf.empty()) {
        auto seen = co_await core_.ports.pci.find(f.bdf, deadline);
        if (seen && *seen) driver = (*seen)->driver;
      }
      std::string reserved = f.serial == model::kDom0Serial ? "dom0" : "";
      bool spare = false;
      for (const auto& [key, r] : core_.world.reservations()) {
        if (r.function != f.id || r.dpu != link->id()) continue;
        spare = model::is_spare(r.vm);
        if (!spare) reserved = r.vm.value;
      }
      std::size_t namespaces = 0;
      for (const auto& e : *exposures) namespaces += e.function == f.id ? 1 : 0;
      out.push_back({{"dpu", link->id().value},
                     {"function", f.id.value},
                     {"bdf", f.bdf},
                     {"serial", f.serial},
                     {"kind", f.virtual_function ? "VF"
                              : f.hotplugged     ? "hot-plugged"
                                                 : "static"},
                     {"driver", driver},
                     {"ready", f.ready},
                     {"foreign", f.foreign},
                     {"reserved_for", reserved},
                     {"spare", spare},
                     {"namespaces", namespaces}});
    }
  }
  co_return out;
}

Task<Result<nlohmann::json>> AdminCalls::reserve(Json args, Deadline deadline) {
  auto vm_text = parse_uuid(text_of(args, "vm").value_or(""));
  if (!vm_text) co_return fail(Errc::invalid_argument, "this wants the uuid of a VM");
  auto link = the_link(args);
  if (!link) co_return fail(std::move(link.error()));
  auto done = co_await reserve_function(core_, VmId(*vm_text), **link, ReservedBy::hand, deadline);
  if (!done) co_return fail(std::move(done.error()));
  co_return Json{{"function", done->id.value}, {"bdf", done->bdf}, {"serial", done->serial}};
}

Task<Result<nlohmann::json>> AdminCalls::unreserve(Json args, Deadline deadline) {
  auto vm_text = parse_uuid(text_of(args, "vm").value_or(""));
  if (!vm_text) co_return fail(Errc::invalid_argument, "this wants the uuid of a VM");
  auto done = co_await release_functions(core_, VmId(*vm_text), deadline);
  if (!done) co_return fail(std::move(done.error()));
  co_return Json::object();
}

Task<Result<nlohmann::json>> AdminCalls::adopt(Json args, Deadline) {
  auto accept = flag_of(args, "accept_missing").value_or(false);
  auto wanted = text_of(args, "sr").value_or("");
  Json out = Json::array();
  std::vector<SrRecord> adopted;
  for (const auto& [id, sr] : core_.world.srs())
    if (sr.adopted && (wanted.empty() || wanted == id.value)) adopted.push_back(sr);
  for (SrRecord& sr : adopted) {
    std::size_t count = 0, nameless = 0;
    for (const VolumeRecord* v : core_.world.volumes_of(sr.id)) {
      if (v->kind == VolumeKind::base || v->state != VolumeState::ready) continue;
      ++count;
      nameless += v->name.empty() ? 1 : 0;
    }
    if (accept) {
      sr.adopted = false;
      auto stored = co_await core_.commit(Changes().put(sr));
      if (!stored) co_return fail(std::move(stored.error()));
      core_.event("warning", "SR " + sr.id.value,
                  "SR " + sr.id.value + " was adopted as it is: " + std::to_string(count) +
                      " volumes, their keys and long names are lost");
    }
    out.push_back(
        {{"sr", sr.id.value}, {"volumes", count}, {"missing_names", nameless}, {"accepted", accept}});
  }
  co_return out;
}

}  // namespace vnvme::service
