#include "service/sr_calls.hpp"

#include "core/text.hpp"
#include "model/names.hpp"
#include "service/drive_check.hpp"
#include "service/intent.hpp"
#include "service/resolve.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kRead = seconds(10);
constexpr auto kFirstSight = seconds(5);
constexpr std::uint32_t kDefaultStripKib = 128;

bool striped(const std::string& level) {
  return level == "raid0" || level == "raid5f" || level == "raid10" || level == "concat";
}

Result<void> check_type(const smapi::Context& context, const Link& link) {
  const dpu::Capabilities& can = link.dpu().capabilities();
  if (context.sr_type == "vnvme" && !(can.snapshot && can.clone && can.resize))
    return fail(
        Errc::not_supported,
        "DPU " + link.id().value + " cannot make snapshots and clones; create the SR with type=vnvme-raw");
  return {};
}

Result<void> check_raid(const SrConfig& config, std::size_t drives, const dpu::Capabilities& can) {
  if (drives > 1 && config.raid.empty())
    return fail(Errc::invalid_argument, "an SR on " + std::to_string(drives) +
                                            " drives needs device-config:raid; this DPU offers " +
                                            (can.raid_levels.empty() ? "none" : join(can.raid_levels, ", ")));
  if (config.raid.empty()) return {};
  if (std::find(can.raid_levels.begin(), can.raid_levels.end(), config.raid) != can.raid_levels.end())
    return {};
  return fail(Errc::not_supported, "device-config:raid=" + config.raid +
                                       " is not offered by this DPU; there is " +
                                       (can.raid_levels.empty() ? "no RAID" : join(can.raid_levels, ", ")));
}

SrRecord wanted_sr(const smapi::Context& context, const SrId& id, const SrConfig& config, const DpuId& dpu) {
  SrRecord sr;
  sr.id = id;
  sr.type = context.sr_type;
  sr.dpu = dpu;
  sr.provisioning = config.provisioning;
  sr.wipe = config.wipe;
  return sr;
}

// Names and members of pool and RAID, all chosen before the first effect (C1).
void lay_out(SrRecord& sr, const SrConfig& config, const std::vector<dpu::Drive>& drives,
             const dpu::Capabilities& can) {
  for (const auto& d : drives) {
    sr.drives.push_back(d.name);
    sr.serials.push_back(d.serial);
  }
  sr.pool_name = can.pool_name.empty() ? model::pool_name(sr.id) : can.pool_name;
  if (config.raid.empty()) return;
  sr.raid_level = config.raid;
  sr.raid_name = model::raid_name(sr.id);
  if (striped(config.raid)) sr.strip_kib = config.strip_kib != 0 ? config.strip_kib : kDefaultStripKib;
}

// A card that gives its one pool a fixed name: whose it is, the name does not say. A volume of ours in it
// does, and one that holds nothing is nobody's.
bool may_be_ours(const PoolView& view, const dpu::Capabilities& can) {
  if (can.pool_name.empty() || view.pool.name != can.pool_name) return false;
  return view.volumes.empty() || std::any_of(view.volumes.begin(), view.volumes.end(), [](const auto& v) {
           return model::parse_name(v.second.name).has_value();
         });
}

// Looked at before the intent, which says so ("true"): then a pool of that name on our drive is the one that
// we made. Where pools are called as we like, their names say it.
Task<Result<std::string>> check_pool_is_absent(Link& link, Deadline deadline) {
  const std::string name = link.dpu().capabilities().pool_name;
  if (name.empty()) co_return std::string();
  auto pools = co_await link.dpu().list_pools(deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  for (const auto& pool : *pools)
    if (pool.name == name)
      co_return fail(Errc::in_use, "DPU " + link.id().value + " can have one pool only, called " + name +
                                       ", and has it already, on " + pool.drive +
                                       "; device-config:pool_uuid=" + pool.id.value +
                                       " takes it over if it is empty or holds volumes of vnvme");
  co_return std::string("true");
}

}  // namespace

Task<Result<std::vector<dpu::Drive>>> SrCalls::choose_drives(Link& link, const SrConfig& config,
                                                             Deadline deadline) {
  if (config.drives.empty())
    co_return fail(Errc::invalid_argument,
                   "device-config:drives is missing: the names or serials of the drives to use; `vnvme "
                   "drives` lists them");
  // Lane first, list then: a drive that a dead daemon had exposed to look at it counts as in use until the
  // recovery, which has the lane, took that namespace away.
  auto lane = co_await link.functions_lane().acquire("look at drives", deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto all = co_await link.dpu().list_drives(deadline);
  if (!all) co_return fail(std::move(all.error()));
  std::vector<dpu::Drive> chosen;
  for (const std::string& wanted : config.drives) {
    auto it = std::find_if(all->begin(), all->end(), [&](const dpu::Drive& d) {
      return d.name == wanted || (!d.serial.empty() && d.serial == wanted);
    });
    if (it == all->end())
      co_return fail(Errc::not_found,
                     "DPU " + link.id().value + " has no drive " + wanted + "; `vnvme drives` lists them");
    if (std::any_of(chosen.begin(), chosen.end(), [&](const dpu::Drive& d) { return d.name == it->name; }))
      co_return fail(Errc::invalid_argument, "drive " + wanted + " is named twice");
    bool forced = std::find(config.force_drives.begin(), config.force_drives.end(),
                            it->serial.empty() ? it->name : it->serial) != config.force_drives.end();
    DriveVerdict verdict = judge_use(*it);
    if (verdict.takeable && !forced) verdict = co_await judge_contents(core_, link, *it, deadline);
    if (!verdict.takeable)
      co_return fail(
          Errc::in_use,
          "drive " + wanted + " (" + it->model + ", serial " + it->serial + ", " + human(it->size) +
              ") is not taken: " + verdict.reason +
              (it->claimed ? ""
                           : ". If what is on it may be lost, add its serial to device-config:force_drives"));
    chosen.push_back(*it);
  }
  co_return chosen;
}

Task<Result<void>> SrCalls::make_pool(Link& link, SrRecord& sr, const SrConfig& config, Deadline deadline) {
  std::string below = sr.drives.front();
  if (!sr.raid_name.empty()) {
    dpu::CreateRaid raid{sr.raid_name, sr.raid_level, sr.strip_kib, sr.drives};
    auto made = co_await link.dpu().create_raid(raid, deadline);
    if (!made) {
      auto raids = co_await link.dpu().list_raids(deadline);
      bool there = raids && std::any_of(raids->begin(), raids->end(),
                                        [&](const dpu::Raid& r) { return r.name == sr.raid_name; });
      if (!there) co_return made;
    }
    below = sr.raid_name;
  }
  dpu::CreatePool order{sr.pool_name, below, config.cluster};
  auto pool = co_await link.dpu().create_pool(order, deadline);
  auto listed = co_await link.refresh_pools(deadline);
  if (!listed) co_return listed;
  for (const auto& [id, view] : link.views()) {
    if (view.pool.name != sr.pool_name) continue;
    sr.pool = id;
    sr.total = view.pool.total;
    sr.free = view.pool.free;
    sr.cluster = view.pool.cluster;
    co_return Result<void>{};
  }
  if (!pool) co_return fail(std::move(pool.error()));
  co_return fail(Error{Errc::conflict, Outcome::unknown,
                       "the DPU said that it made pool " + sr.pool_name + ", yet does not list it"});
}

// An SR over a pool that exists already (device-config:pool_uuid), made by vnvme before.
Task<Result<SrRecord>> SrCalls::take_pool(smapi::Context, Link& link, SrRecord sr, const SrConfig& config) {
  PoolId pool(config.pool_uuid);
  const PoolView* view = link.view(pool);
  if (view == nullptr)
    co_return fail(Errc::not_found, "DPU " + link.id().value + " has no pool " + config.pool_uuid +
                                        "; `vnvme pools` lists them");
  for (const auto& [id, other] : core_.world.srs())
    if (other.pool == pool && other.dpu == link.id())
      co_return fail(Errc::in_use, "pool " + config.pool_uuid + " belongs to SR " + id.value);
  if (!model::sr_of_pool_name(view->pool.name) && !may_be_ours(*view, link.dpu().capabilities()))
    co_return fail(Errc::in_use, "pool " + view->pool.name + " was not made by vnvme and is left alone");
  sr.pool = pool;
  sr.pool_name = view->pool.name;
  sr.adopted = !view->volumes.empty();
  sr.total = view->pool.total;
  sr.free = view->pool.free;
  sr.cluster = view->pool.cluster;
  co_return sr;
}

// A create or destroy of it that died half-way is undone, or finished, by the reconciler. A caller that asks
// again meets it there, and gets the answer that it would have got (C2).
Task<void> SrCalls::recovered(SrId id, Deadline deadline) {
  auto half = [this, &id] {
    const SrRecord* sr = core_.world.sr(id);
    return sr != nullptr && sr->state != SrState::ready;
  };
  while (half() && !deadline.passed() && !core_.stopping()) {
    core_.work.notify();
    co_await core_.released.wait(deadline.capped(std::chrono::milliseconds(500)));
  }
}

Task<Result<smapi::Strings>> SrCalls::create(smapi::Context context, SrId id, smapi::Strings configuration,
                                             std::string name, std::string description) {
  auto config = parse_sr_config(configuration, true);
  if (!config) co_return fail(std::move(config.error()));
  if (config->dpu.empty())
    co_return fail(Errc::invalid_argument, "device-config:dpu is missing: " + sr_config_keys().at("dpu"));
  DpuId dpu = core_.resolve_dpu(config->dpu);
  co_await recovered(id, context.deadline);
  auto guard = co_await core_.guard(id, "create", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  if (const SrRecord* known = core_.world.sr(id)) {
    if (known->state == SrState::ready && known->dpu == dpu) co_return describe_sr(*known, config->dpu);
    co_return fail(Errc::conflict, "SR " + id.value + " exists already, on DPU " + known->dpu.value);
  }
  auto link = core_.link(dpu);
  if (!link) co_return fail(std::move(link.error()));
  auto ready = co_await (*link)->ready(context.deadline);
  if (!ready) co_return fail(std::move(ready.error()));
  if (auto fits = check_type(context, **link); !fits) co_return fail(std::move(fits.error()));

  SrRecord sr = wanted_sr(context, id, *config, dpu);
  sr.name = std::move(name);
  sr.description = std::move(description);
  if (!config->pool_uuid.empty()) {
    auto taken = co_await take_pool(context, **link, std::move(sr), *config);
    if (!taken) co_return fail(std::move(taken.error()));
    taken->state = SrState::ready;
    auto stored = co_await core_.commit(Changes().put(*taken));
    if (!stored) co_return fail(std::move(stored.error()));
    co_return describe_sr(*taken, config->dpu);
  }
  auto drives = co_await choose_drives(**link, *config, context.deadline);
  if (!drives) co_return fail(std::move(drives.error()));
  if (auto raid = check_raid(*config, drives->size(), (*link)->dpu().capabilities()); !raid)
    co_return fail(std::move(raid.error()));
  auto absent = co_await check_pool_is_absent(**link, context.deadline);
  if (!absent) co_return fail(std::move(absent.error()));
  lay_out(sr, *config, *drives, (*link)->dpu().capabilities());
  IntentRecord intent = new_intent(core_, IntentKind::sr_create, sr, VolumeId(), context.request);
  intent.facts["pool_was_absent"] = *absent;
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(sr).put(intent));
  if (!stored) co_return fail(std::move(stored.error()));
  auto made = co_await make_pool(**link, sr, *config, context.deadline);
  if (!made) {
    // Looks at the DPU, so it serves every outcome; when it cannot finish now, the housekeeper does.
    const Absence absence = made.error().outcome == Outcome::not_done ? Absence::proven : Absence::doubtful;
    auto undone =
        co_await resolve_intent(core_, **link, intent, absence, LaneHeld::no, Deadline::after(kRead));
    if (!undone) core_.work.notify();
    co_return fail(std::move(made.error()));
  }
  sr.state = SrState::ready;
  stored = co_await core_.commit(Changes().put(sr).erase_intent(intent.id));
  if (!stored) {
    core_.work.notify();
    co_return fail(std::move(stored.error()));
  }
  co_return describe_sr(sr, config->dpu);
}

Task<Result<SrId>> SrCalls::attach(smapi::Context context, smapi::Strings configuration) {
  auto config = parse_sr_config(configuration, false);
  if (!config) co_return fail(std::move(config.error()));
  auto uuid = parse_uuid(config->sr_uuid);
  if (!uuid)
    co_return fail(
        Errc::invalid_argument,
        "device-config:sr_uuid is missing or no uuid: this PBD was not made by SR.create of vnvme");
  SrId id(*uuid);
  auto guard = co_await core_.guard(id, "attach", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  const SrRecord* known = core_.world.sr(id);
  SrRecord sr;
  if (known != nullptr) {
    sr = *known;
    if (sr.state != SrState::ready)
      co_return fail(Errc::busy, "SR " + id.value + " is being created or destroyed");
  } else {
    // The store does not know it: it was lost, or the SR comes from another host. Identity is in the PBD and
    // on the DPU; names and keys are not, so SR.ls stays an error until they are accepted as lost (C5).
    if (config->dpu.empty() || config->pool_uuid.empty())
      co_return fail(
          Errc::not_found,
          "SR " + id.value + " is not known, and its PBD names no dpu and pool_uuid to find it by");
    sr = wanted_sr(context, id, *config, core_.resolve_dpu(config->dpu));
    sr.pool = PoolId(config->pool_uuid);
    sr.drives = config->drives;
    sr.raid_level = config->raid;
    if (!config->raid.empty()) sr.raid_name = model::raid_name(id);
    sr.strip_kib = config->strip_kib;
    sr.state = SrState::ready;
    sr.adopted = true;
    core_.event("warning", "SR " + id.value,
                "SR " + id.value + " is not in the store; it is being rebuilt from its PBD and the DPU");
  }
  if (!sr.attached || known == nullptr) {
    sr.attached = true;
    auto stored = co_await core_.commit(Changes().put(sr));
    if (!stored) co_return fail(std::move(stored.error()));
  }
  auto link = core_.link(sr.dpu);
  if (!link) co_return fail(std::move(link.error()));
  if (sr.adopted && (*link)->is_ready()) (*link)->look_again();
  co_return id;
}

Task<Result<void>> SrCalls::edit(smapi::Context context, SrId id, std::function<void(SrRecord&)> change) {
  auto guard = co_await core_.guard(id, context.method, context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  auto sr = usable_sr(core_, id);
  if (!sr) co_return fail(std::move(sr.error()));
  change(*sr);
  co_return co_await core_.commit(Changes().put(std::move(*sr)));
}

Task<Result<void>> SrCalls::detach(smapi::Context context, SrId id) {
  const SrRecord* sr = core_.world.sr(id);
  if (sr == nullptr || !sr->attached) co_return Result<void>{};
  for (const auto& [key, a] : core_.world.attachments()) {
    const VolumeRecord* v = core_.world.volume(a.volume);
    if (v != nullptr && v->sr == id && a.state != AttachState::releasing)
      co_return fail(Errc::in_use,
                     "SR " + id.value + " cannot be detached: volume " + v->id.value + " is attached");
  }
  std::function<void(SrRecord&)> change = [](SrRecord& r) { r.attached = false; };
  co_return co_await edit(context, id, change);
}

Task<Result<void>> SrCalls::set_name(smapi::Context context, SrId id, std::string name) {
  std::function<void(SrRecord&)> change = [name](SrRecord& r) { r.name = name; };
  co_return co_await edit(context, id, change);
}
Task<Result<void>> SrCalls::set_description(smapi::Context context, SrId id, std::string text) {
  std::function<void(SrRecord&)> change = [text](SrRecord& r) { r.description = text; };
  co_return co_await edit(context, id, change);
}

Task<Result<void>> SrCalls::destroy(smapi::Context context, SrId id) {
  co_await recovered(id, context.deadline);
  if (core_.world.sr(id) == nullptr) co_return Result<void>{};
  auto place = co_await place_of(core_, id, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  auto guard = co_await core_.guard(id, "destroy", context.deadline);
  if (!guard) co_return fail(std::move(guard.error()));
  for (const VolumeRecord* v : core_.world.volumes_of(id))
    if (v->state != VolumeState::trash && v->kind != VolumeKind::base)
      co_return fail(Errc::in_use, "SR " + id.value + " still holds volume " + v->id.value + " (" +
                                       printable(v->name, 60) + "); destroy its volumes first");
  // What was destroyed before is wiped as its SR promises, before the pool goes.
  while (!core_.world.volumes_of(id).empty() && !context.deadline.passed() && !core_.stopping()) {
    core_.work.notify();
    co_await core_.released.wait(context.deadline.capped(seconds(1)));
  }
  auto lane =
      co_await place->link->lane(place->sr.pool).acquire("destroy of SR " + id.value, context.deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  auto volumes = co_await place->link->dpu().list_volumes(place->sr.pool, context.deadline);
  if (!volumes) co_return fail(std::move(volumes.error()));
  for (const auto& v : *volumes)
    co_return fail(Errc::in_use, "pool " + place->sr.pool_name + " still holds lvol " + v.name +
                                     "; an SR is destroyed only when its pool is empty");
  SrRecord sr = place->sr;
  sr.state = SrState::destroying;
  IntentRecord intent = new_intent(core_, IntentKind::sr_destroy, sr, VolumeId(), context.request);
  LiveIntent live(core_, intent.id);
  auto stored = co_await core_.commit(Changes().put(sr).put(intent));
  if (!stored) co_return stored;
  lane->release();
  auto done =
      co_await resolve_intent(core_, *place->link, intent, Absence::proven, LaneHeld::no, context.deadline);
  if (!done) core_.work.notify();
  co_return done;
}

smapi::SrStat SrCalls::describe(const SrRecord& sr) {
  smapi::SrStat out;
  out.sr = sr.id;
  out.name = sr.name;
  out.description = sr.description;
  out.total_space = sr.total;
  out.free_space = sr.free;
  return out;
}

Task<Result<smapi::SrStat>> SrCalls::stat(smapi::Context context, SrId id) {
  auto sr = usable_sr(core_, id);
  if (!sr) co_return fail(std::move(sr.error()));
  smapi::SrStat out = describe(*sr);
  auto link = core_.link(sr->dpu);
  if (!link) co_return fail(std::move(link.error()));
  if ((*link)->is_starting()) (void)co_await (*link)->ready(context.deadline.capped(kFirstSight));
  if ((*link)->is_ready()) (void)co_await (*link)->refresh_pools(context.deadline.capped(kRead));
  const PoolView* view = (*link)->view(sr->pool);
  if (!(*link)->is_ready()) {
    out.health = "Unreachable";
    out.health_text = "DPU " + sr->dpu.value + " cannot be reached: " + (*link)->dpu().trouble() +
                      "; sizes are the last known";
  } else if (view == nullptr) {
    out.health = "Unavailable";
    out.health_text = "the pool of this SR is not on DPU " + sr->dpu.value +
                      ": a drive may be missing; nothing is forgotten";
  } else {
    model::Space space = model::space_of(*sr, core_.world, view->pool, view->volumes);
    out.total_space = space.total;
    out.free_space = space.available();
    if (sr->adopted)
      out.health_text = "names and keys were lost and are being rebuilt";
    else if (int alarm = model::fill_alarm(space); alarm > 0 && sr->provisioning == Provisioning::thin)
      out.health_text =
          "more than " + std::to_string(alarm) + " % of the space is used; at 100 % guests get I/O errors";
    else if (sr->wipe == Wipe::none)
      out.health_text = "deleted data is not erased (wipe=none)";
  }
  co_return out;
}

Task<Result<std::vector<smapi::Volume>>> SrCalls::ls(smapi::Context context, SrId id) {
  auto place = co_await place_of(core_, id, context.deadline);
  if (!place) co_return fail(std::move(place.error()));
  // The records are complete; the list proves that the DPU answers now (I2) and brings allocations up to
  // date.
  auto names = co_await place->link->dpu().list_volume_names(place->sr.pool, context.deadline);
  if (!names) co_return fail(std::move(names.error()));
  PoolView* view = place->link->view(place->sr.pool);
  if (view == nullptr)
    co_return fail(Errc::unreachable, "the pool of SR " + id.value + " went away while it was listed");
  for (auto& seen : *names) {
    if (!seen.allocated) continue;  // a cheap list that does not tell must not make what is known unknown
    auto it = view->volumes.find(seen.id.value);
    if (it != view->volumes.end()) it->second.allocated = seen.allocated;
  }
  std::vector<smapi::Volume> out;
  for (const VolumeRecord* v : core_.world.volumes_of(id)) {
    if (v->state != VolumeState::ready || v->kind == VolumeKind::base) continue;
    auto it = view->volumes.find(v->dpu_id.value);
    out.push_back(shown(*v, it == view->volumes.end() ? nullptr : &it->second));
  }
  co_return out;
}

// An SR that exists: its PBD can be made of `configuration`. The pools of others are shown, and left alone.
smapi::Probe SrCalls::probe_pool(const PoolView& view, const std::string& dpu) {
  smapi::Probe p{{{"dpu", dpu}}, false, {}, std::nullopt};
  p.extra_info = {{"pool", view.pool.name},
                  {"drive", view.pool.drive},
                  {"volumes", std::to_string(view.volumes.size())},
                  {"total", human(view.pool.total)},
                  {"free", human(view.pool.free)}};
  auto owner = model::sr_of_pool_name(view.pool.name);
  for (const auto& [id, sr] : core_.world.srs())
    if (sr.pool == view.pool.id) owner = id;
  if (!owner) {
    p.extra_info["reason"] = "not made by vnvme, and left alone";
    return p;
  }
  const SrRecord* known = core_.world.sr(*owner);
  p.complete = true;
  p.configuration =
      known != nullptr
          ? describe_sr(*known, dpu)
          : smapi::Strings{{"dpu", dpu}, {"pool_uuid", view.pool.id.value}, {"sr_uuid", owner->value}};
  p.sr = known != nullptr ? describe(*known) : smapi::SrStat{*owner, "", "", {}, {}, "Healthy", ""};
  p.sr->total_space = view.pool.total;
  p.sr->free_space = view.pool.free;
  return p;
}

smapi::Probe SrCalls::probe_drive(const Link& link, const dpu::Drive& drive, const std::string& dpu) {
  DriveVerdict verdict = judge_use(drive);
  smapi::Probe p{{{"dpu", dpu}}, verdict.takeable, {}, std::nullopt};
  if (verdict.takeable) p.configuration["drives"] = drive.serial.empty() ? drive.name : drive.serial;
  p.extra_info = {{"name", drive.name},
                  {"model", drive.model},
                  {"serial", drive.serial},
                  {"size", std::to_string(drive.size.value)},
                  {"size_text", human(drive.size)},
                  {"takeable", verdict.takeable ? "true" : "false"},
                  {"reason", verdict.reason},
                  {"raid_levels", join(link.dpu().capabilities().raid_levels, ",")}};
  if (drive.volatile_data) p.extra_info["volatile"] = "true";
  return p;
}

Task<Result<std::vector<smapi::Probe>>> SrCalls::probe(smapi::Context context, smapi::Strings configuration) {
  auto config = parse_sr_config(configuration, false);
  if (!config) co_return fail(std::move(config.error()));
  std::vector<smapi::Probe> out;
  if (config->dpu.empty()) {  // nothing chosen yet: offer the DPUs of the configuration file
    for (const auto& [name, uri] : core_.options.dpu_names)
      out.push_back({{{"dpu", name}}, false, {{"endpoint", uri.value}}, std::nullopt});
    if (!out.empty()) co_return out;
    co_return fail(Errc::invalid_argument, "device-config:dpu is missing: " + sr_config_keys().at("dpu"));
  }
  auto link = core_.link(core_.resolve_dpu(config->dpu));
  if (!link) co_return fail(std::move(link.error()));
  auto ready = co_await (*link)->ready(context.deadline);
  if (!ready) co_return fail(std::move(ready.error()));
  auto drives = co_await (*link)->dpu().list_drives(context.deadline);
  if (!drives) co_return fail(std::move(drives.error()));
  for (const auto& [pool, view] : (*link)->views()) out.push_back(probe_pool(view, config->dpu));
  for (const auto& drive : *drives) out.push_back(probe_drive(**link, drive, config->dpu));
  co_return out;
}

}  // namespace vnvme::service
