#include "model/publication.hpp"

#include <algorithm>
#include <array>

#include "core/text.hpp"
#include "model/ownership.hpp"

namespace vnvme::model {
namespace {

using xapi::Picture;

// In this order they are set, and in the reverse one removed.
constexpr std::array<const char*, 3> kVdiKeys{kStateKey, kSerialKey, kBdfKey};
constexpr std::array<const char*, 4> kVmKeys{kHostKey, kStateKey, kSerialKey, kFunctionsKey};

struct Wanted {
  xapi::Map keys;
  std::set<std::string> unknown;  // left as they are
};

const std::string* value_of(const xapi::Map& map, const std::string& key) {
  auto at = map.find(key);
  return at == map.end() ? nullptr : &at->second;
}

using Addresses = std::map<std::pair<DpuId, FunctionId>, std::string>;

Addresses addresses(const HostFunctions& functions) {
  Addresses out;
  for (const auto& [bdf, f] : functions) out[{f.dpu, f.function}] = bdf;
  return out;
}

const char* state_of(const AttachmentRecord& a) {
  if (a.state == AttachState::attached) return "attached";
  if (a.state == AttachState::releasing) return "releasing";
  return a.mode == AttachMode::read_only ? "active-read-only" : "active";
}

void put_list(Wanted& wanted, const char* key, const std::set<std::string>& values) {
  if (!values.empty()) wanted.keys[key] = join(std::vector<std::string>(values.begin(), values.end()), ",");
}

// A volume in dom0 (copy, export, backup) is XAPI's own doing, and over soon: not told.
Wanted wanted_of(const World& world, const Addresses& known, const VolumeId& volume) {
  Wanted out;
  std::set<std::string> serials, bdfs;
  for (const AttachmentRecord* a : world.attachments_of(volume)) {
    auto vm = vm_of_owner(a->owner);
    if (!vm) continue;
    out.keys[kStateKey] = state_of(*a);
    const ReservationRecord* r = world.reservation(*vm, a->dpu);
    if (r != nullptr) serials.insert(r->serial);
    auto at = known.find({a->dpu, a->function});
    if (at == known.end())
      out.unknown.insert(kBdfKey);
    else
      bdfs.insert(at->second);
  }
  put_list(out, kSerialKey, serials);
  if (out.unknown.empty()) put_list(out, kBdfKey, bdfs);
  return out;
}

struct VmFacts {
  std::map<VmId, std::vector<const ReservationRecord*>> reservations;
  std::set<VmId> attached;
};

VmFacts facts_of(const World& world) {
  VmFacts out;
  for (const auto& [key, r] : world.reservations())
    if (!r.function.empty()) out.reservations[r.vm].push_back(&r);
  for (const auto& [key, a] : world.attachments())
    if (auto vm = vm_of_owner(a.owner); vm && a.state != AttachState::releasing) out.attached.insert(*vm);
  return out;
}

Wanted wanted_of(const VmFacts& facts, const Addresses& known, const xapi::Vm& vm,
                 const std::vector<OwnDisk>& disks, const std::string& self) {
  Wanted out;
  auto mine = facts.reservations.find(vm.uuid);
  std::set<DpuId> served;
  std::set<std::string> serials, bdfs;
  if (mine != facts.reservations.end())
    for (const ReservationRecord* r : mine->second) {
      served.insert(r->dpu);
      serials.insert(r->serial);
      auto at = known.find({r->dpu, r->function});
      if (at == known.end())
        out.unknown.insert(kFunctionsKey);
      else
        bdfs.insert(at->second);
    }
  if (served.empty() && disks.empty()) return out;
  bool lacks =
      std::any_of(disks.begin(), disks.end(), [&](const OwnDisk& d) { return !served.contains(d.dpu); });
  out.keys[kHostKey] = self;
  out.keys[kStateKey] = facts.attached.contains(vm.uuid) ? "attached" : lacks ? "no-function" : "reserved";
  put_list(out, kSerialKey, serials);
  if (out.unknown.empty()) put_list(out, kFunctionsKey, bdfs);
  return out;
}

template <class Keys>
void compare(const Keys& keys, const xapi::Map& now, const Wanted& wanted, Publication& out) {
  out.wanted = wanted.keys;
  for (const char* key : keys) {
    if (wanted.unknown.contains(key)) continue;
    const std::string* is = value_of(now, key);
    const std::string* shall = value_of(wanted.keys, key);
    if (shall != nullptr && (is == nullptr || *is != *shall)) out.set.emplace_back(key, *shall);
    if (shall == nullptr && is != nullptr) out.remove.emplace_back(key);
  }
  std::reverse(out.remove.begin(), out.remove.end());
}

template <class Keys>
bool has_any(const Keys& keys, const xapi::Map& map) {
  return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return map.contains(key); });
}

// Two hosts must not write into one VM in turns: who finds the other's name there leaves it, unless the VM
// has come over (its drives are here), or that host is no more.
bool may_write(const Picture& picture, const xapi::Vm& vm, const std::string& self, bool own,
               bool has_disks) {
  const std::string* writer = value_of(vm.other_config, kHostKey);
  if (writer != nullptr && *writer == self) return true;
  if (!own) return false;
  bool lives = writer != nullptr && std::any_of(picture.hosts.begin(), picture.hosts.end(),
                                                [&](const auto& h) { return h.second.uuid == *writer; });
  return !lives || has_disks;
}

void plan_vdis(const Picture& picture, const World& world, const Addresses& known,
               std::vector<Publication>& out) {
  for (const auto& [ref, vdi] : picture.vdis) {
    const VolumeId volume(vdi.location);
    bool quiet = world.attachments_of(volume).empty();
    if (quiet && !has_any(kVdiKeys, vdi.other_config)) continue;
    const xapi::Sr* sr = Picture::find(picture.srs, vdi.SR);
    if (sr == nullptr || world.sr(sr->uuid) == nullptr) continue;
    Wanted wanted = wanted_of(world, known, volume);
    Publication one;
    one.cls = xapi::Class::vdi;
    one.ref = ref;
    one.uuid = vdi.uuid;
    compare(kVdiKeys, vdi.other_config, wanted, one);
    if (!one.set.empty() || !one.remove.empty()) out.push_back(std::move(one));
  }
}

}  // namespace

std::vector<Publication> plan_publications(const Picture& picture, const World& world,
                                           const HostFunctions& functions) {
  std::vector<Publication> out;
  const xapi::Host* self = own_host(picture, world);
  if (self == nullptr || !is_credible(picture)) return out;
  const Addresses known = addresses(functions);
  plan_vdis(picture, world, known, out);
  const VmFacts facts = facts_of(world);
  const auto own = vms_of_host(picture, world);
  for (const auto& [ref, vm] : picture.vms) {
    if (vm.is_control_domain) continue;
    auto at = own.find(ref);
    bool mine = at != own.end();
    bool has_disks = mine && !at->second.empty();
    // A template or snapshot has its keys from the VM that it was made of: they never were true for it.
    bool lives = !vm.is_a_template && !vm.is_default_template && !vm.is_a_snapshot;
    Wanted wanted;
    if (mine && lives) wanted = wanted_of(facts, known, vm, at->second, self->uuid);
    bool quiet = wanted.keys.empty() && !has_any(kVmKeys, vm.other_config);
    if (quiet || !may_write(picture, vm, self->uuid, mine, has_disks)) continue;
    Publication one;
    one.cls = xapi::Class::vm;
    one.ref = ref;
    one.uuid = vm.uuid.value;
    compare(kVmKeys, vm.other_config, wanted, one);
    if (!one.set.empty() || !one.remove.empty()) out.push_back(std::move(one));
  }
  return out;
}

}  // namespace vnvme::model
