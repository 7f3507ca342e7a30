#include "model/trouble.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"

namespace vnvme::model {
namespace {

constexpr std::size_t kNameBytes = 40;
constexpr std::size_t kStrangers = 100;  // are counted

std::string named(const char* kind, const std::string& uuid, const std::string& name) {
  std::string out = std::string(kind) + " " + uuid;
  if (!name.empty()) out += " (" + printable(name, kNameBytes) + ")";
  return out;
}

void look_at_raid(const SrRecord& sr, const std::string& who, const DpuSeen& dpu, Troubles& out) {
  if (sr.raid_name.empty()) return;
  const std::string object = "SR " + sr.id.value;
  if (!dpu.raids) {
    out.unknown.emplace_back(Topic::pool_degraded, object);
    return;
  }
  auto raid = std::find_if(dpu.raids->begin(), dpu.raids->end(),
                           [&](const dpu::Raid& r) { return r.name == sr.raid_name; });
  if (raid == dpu.raids->end()) return;  // then the pool is missing as well, which is told
  bool online = raid->state == "online";
  if (online && raid->working >= raid->members) return;
  std::string rebuild;
  if (raid->rebuild_percent)
    rebuild = ", rebuilt to " + std::to_string(static_cast<int>(*raid->rebuild_percent)) + " %";
  out.found.push_back({Topic::pool_degraded, object,
                       "the " + raid->level + " below " + who + " has " + std::to_string(raid->working) +
                           " of " + std::to_string(raid->members) + " drives at work and is " +
                           printable(raid->state, kNameBytes) + rebuild,
                       online ? 1 : 2});
}

// A DPU with fixed names shows ours under a name that says nothing.
bool is_recorded(const SrRecord& sr, const World& world, const std::string& id) {
  auto volumes = world.volumes_of(sr.id);
  return std::any_of(volumes.begin(), volumes.end(),
                     [&](const VolumeRecord* v) { return v->dpu_id.value == id; });
}

void look_at_volumes(const SrRecord& sr, const std::string& who, const World& world, const PoolSeen& pool,
                     Troubles& out) {
  const std::size_t missing = count_missing(sr, world, *pool.volumes);
  std::size_t foreign = 0;
  std::vector<std::string> strangers;
  for (const auto& [id, seen] : *pool.volumes) {
    if (strangers.size() == kStrangers) break;
    const auto own = parse_name(seen.name);
    if (!own) strangers.push_back(id);
  }
  for (const std::string& id : strangers) foreign += is_recorded(sr, world, id) ? 0 : 1;
  const std::string object = "SR " + sr.id.value;
  if (missing > 0 && !pool.certain)
    out.unknown.emplace_back(Topic::volumes_missing, object);
  else if (missing > 0)
    out.found.push_back({Topic::volumes_missing, object,
                         std::to_string(missing) + " volume(s) of " + who + " are not on the DPU any more"});
  if (foreign > 0)
    out.found.push_back(
        {Topic::foreign_volumes, object,
         std::to_string(foreign) + " volume(s) in the pool of " + who + " were not made by vnvme"});
}

void look_at_fill(const SrRecord& sr, const std::string& who, const World& world, const PoolSeen& pool,
                  const Notices& known, Troubles& out) {
  if (sr.provisioning != Provisioning::thin) return;
  const std::string object = "SR " + sr.id.value;
  double used = space_of(sr, world, pool.pool, *pool.volumes).used_percent();
  int rank = fill_rank(used, known.rank(Topic::pool_filling, object));
  if (rank == 0) return;
  out.found.push_back({Topic::pool_filling, object,
                       who + " is " + std::to_string(static_cast<int>(used)) + " % full (" +
                           human(pool.pool.free) + " of " + human(pool.pool.total) + " free)",
                       rank});
}

void look_at_sr(const SrRecord& sr, const World& world, const DpusSeen& dpus, const Notices& known,
                Troubles& out) {
  const std::string object = "SR " + sr.id.value, who = named("SR", sr.id.value, sr.name);
  if (sr.adopted)
    out.found.push_back(
        {Topic::records_lost, object, "the records of " + who + " were lost, so it cannot be listed"});
  auto dpu = dpus.find(sr.dpu);
  if (dpu == dpus.end() || !dpu->second.ready) {
    for (Topic topic : {Topic::pool_missing, Topic::pool_degraded, Topic::pool_filling,
                        Topic::volumes_missing, Topic::foreign_volumes})
      out.unknown.emplace_back(topic, object);
    return;
  }
  look_at_raid(sr, who, dpu->second, out);
  auto pool = dpu->second.pools.find(sr.pool);
  if (pool == dpu->second.pools.end()) {
    out.found.push_back({Topic::pool_missing, object,
                         "the pool of " + who + " is not on DPU " + printable(dpu->second.name, 80)});
    for (Topic topic : {Topic::pool_filling, Topic::volumes_missing, Topic::foreign_volumes})
      out.unknown.emplace_back(topic, object);
    return;
  }
  look_at_volumes(sr, who, world, pool->second, out);
  look_at_fill(sr, who, world, pool->second, known, out);
}

bool ready(const DpusSeen& dpus, const DpuId& id) {
  auto at = dpus.find(id);
  return at != dpus.end() && at->second.ready;
}

void look_at_functions(const xapi::Vm& vm, const std::vector<OwnDisk>& disks, const World& world,
                       const DpusSeen& dpus, Troubles& out) {
  const std::string object = "VM " + vm.uuid.value;
  for (const OwnDisk& disk : disks) {
    const ReservationRecord* r = world.reservation(vm.uuid, disk.dpu);
    if (r != nullptr && !r->function.empty()) continue;
    if (!ready(dpus, disk.dpu)) {
      out.unknown.emplace_back(Topic::no_function, object);
      continue;
    }
    out.found.push_back({Topic::no_function, object,
                         named("VM", vm.uuid.value, vm.name_label) +
                             " has vNVMe drives but could get no NVMe function of DPU " +
                             printable(dpus.at(disk.dpu).name, 80) + " and cannot start with them"});
    return;
  }
}

// 0 to 3 are the devices that QEMU emulates for an HVM guest: it would open the marker as a disk.
void look_at_devices(const xapi::Vm& vm, const std::vector<OwnDisk>& disks, Troubles& out) {
  if (vm.power_state == xapi::PowerState::halted || vm.domain_type == "pv" || vm.domain_type == "pv_in_pvh")
    return;
  for (const OwnDisk& disk : disks) {
    const std::string& number = disk.vbd->userdevice;
    if (number.size() != 1 || number[0] < '0' || number[0] > '3') continue;
    out.found.push_back({Topic::userdevice_trap, "VM " + vm.uuid.value,
                         "VBD " + disk.vbd->uuid + " of the running " +
                             named("VM", vm.uuid.value, vm.name_label) + " has userdevice " + number +
                             ", where its guest sees an empty disk beside the NVMe drive"});
    return;
  }
}

void look_at_releases(const xapi::Picture& picture, const World& world, const DpusSeen& dpus, Troubles& out) {
  for (const auto& [key, a] : world.attachments()) {
    auto owner = vm_of_owner(a.owner);
    if (!owner || a.state != AttachState::releasing) continue;
    const xapi::Vm* vm = picture.vm(*owner);
    const std::string object = "volume " + a.volume.value;
    if (!ready(dpus, a.dpu)) {
      out.unknown.emplace_back(Topic::still_in_use, object);
      continue;
    }
    if (vm == nullptr || vm->power_state == xapi::PowerState::halted) continue;
    std::string name;
    if (const VolumeRecord* v = world.volume(a.volume); v != nullptr) name = v->name;
    out.found.push_back({Topic::still_in_use, object,
                         named("volume", a.volume.value, name) + " was unplugged, but the guest of " +
                             named("VM", vm->uuid.value, vm->name_label) +
                             " goes on using it; it stays with that VM until it is idle"});
  }
}

}  // namespace

std::size_t count_missing(const SrRecord& sr, const World& world, const Observed& volumes) {
  std::size_t missing = 0;
  for (const VolumeRecord* v : world.volumes_of(sr.id))
    if (v->state == VolumeState::ready && !v->dpu_id.empty() && !volumes.contains(v->dpu_id.value) &&
        !world.has_intent(v->id))
      ++missing;
  return missing;
}

Troubles find_troubles(const xapi::Picture& picture, const World& world, const DpusSeen& dpus,
                       const Notices& known) {
  Troubles out;
  for (const auto& [id, dpu] : dpus) {
    if (dpu.ready) continue;
    std::string text = "DPU " + printable(dpu.name, 80) + " cannot be reached";
    if (!dpu.trouble.empty()) text += ": " + printable(dpu.trouble, 200);
    out.found.push_back({Topic::dpu_lost, "dpu " + id.value, std::move(text)});
  }
  for (const auto& [id, sr] : world.srs())
    if (sr.state == SrState::ready) look_at_sr(sr, world, dpus, known, out);
  for (const auto& [ref, disks] : vms_of_host(picture, world)) {
    const xapi::Vm& vm = picture.vms.at(ref);
    if (vm.is_a_template || vm.is_default_template || vm.is_a_snapshot) continue;
    look_at_functions(vm, disks, world, dpus, out);
    look_at_devices(vm, disks, out);
  }
  look_at_releases(picture, world, dpus, out);
  return out;
}

}  // namespace vnvme::model
