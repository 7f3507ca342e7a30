#include "model/vm_plan.hpp"

#include <algorithm>
#include <charconv>

#include "core/text.hpp"
#include "model/names.hpp"
#include "model/ownership.hpp"
#include "model/pci_list.hpp"

namespace vnvme::model {
namespace {

using xapi::Picture;
using xapi::Vm;

constexpr const char* kPciKey = "pci";
constexpr const char* kTypes = "vnvme";  // of our SRs, also those of other hosts: vnvme, vnvme-raw
constexpr const char* kWhyBlocked =
    ": the VM has a vNVMe drive, which is a PCI device and cannot move; shut the VM down instead";
constexpr const char* kWhyNoSend =
    ": the VM's vNVMe drives are in use on this host; shut the VM down, then move it";

// Not what can never be started. Control domains are left out before.
bool may_have_functions(const Vm& vm) {
  return !vm.is_a_template && !vm.is_default_template && !vm.is_a_snapshot;
}

struct Disk {
  const xapi::Vbd* vbd;
  DpuId dpu;
};

struct Disks {
  std::map<xapi::Ref, std::vector<Disk>> here;  // volumes of ours, by their VM
  std::set<xapi::Ref> elsewhere;                // VMs with a volume of another host's vnvmed
};

// By VBD.VM, not VM.VBDs: the two change one after the other.
Disks disks_by_vm(const Picture& picture, const World& world) {
  Disks out;
  for (const auto& [ref, vbd] : picture.vbds) {
    if (vbd.type != "Disk" || vbd.empty) continue;
    const xapi::Vdi* vdi = Picture::find(picture.vdis, vbd.VDI);
    const xapi::Sr* sr = vdi == nullptr ? nullptr : Picture::find(picture.srs, vdi->SR);
    const SrRecord* ours = sr == nullptr ? nullptr : world.sr(sr->uuid);
    if (ours != nullptr)
      out.here[vbd.VM].push_back({&vbd, ours->dpu});
    else if (sr != nullptr && sr->type.starts_with(kTypes))
      out.elsewhere.insert(vbd.VM);
  }
  return out;
}

bool is_elsewhere(const Vm& vm, const xapi::Host& self, const Disks& disks) {
  if (disks.elsewhere.contains(vm.ref)) return true;
  bool runs = vm.power_state != xapi::PowerState::halted && !vm.resident_on.empty();
  if (runs) return vm.resident_on != self.ref;
  return !vm.affinity.empty() && vm.affinity != self.ref && !disks.here.contains(vm.ref);
}

// Addresses of the functions reserved for that VM, as far as this host shows them.
std::vector<std::string> functions_of(const World& world, const HostFunctions& functions, const VmId& vm) {
  std::vector<std::string> out;
  for (const auto& [bdf, f] : functions) {
    const ReservationRecord* r = world.reservation(vm, f.dpu);
    if (r != nullptr && !r->function.empty() && r->function == f.function) out.push_back(bdf);
  }
  return out;
}

bool is_reserved_for_any(const World& world, const VmId& vm) {
  return std::any_of(world.reservations().begin(), world.reservations().end(),
                     [&](const auto& r) { return r.second.vm == vm; });
}

bool has_attachment(const World& world, const VmId& vm) {
  std::string owner = owner_of_vm(vm);
  return std::any_of(world.attachments().begin(), world.attachments().end(),
                     [&](const auto& a) { return a.second.owner == owner; });
}

void plan_pci(const World& world, const HostFunctions& functions, const Vm& vm, VmPlan& plan) {
  std::vector<std::string> mine;
  if (may_have_functions(vm)) mine = functions_of(world, functions, vm.uuid);
  auto at = vm.other_config.find(kPciKey);
  std::string now = at == vm.other_config.end() ? std::string() : at->second;
  auto is_ours = [&](const std::string& bdf) { return functions.contains(bdf); };
  const PciList listed = parse_pci_list(now);
  for (const std::string& bdf : listed.bdfs) {
    if (!functions.contains(bdf)) continue;
    if (std::find(mine.begin(), mine.end(), bdf) == mine.end()) plan.stripped.push_back(bdf);
  }
  plan.pci = repaired_pci_list(now, mine, is_ours);
}

void plan_guards(const World& world, const xapi::Host& self, const Vm& vm, VmPlan& plan) {
  const std::string prefix = kBlockPrefix + self.uuid;
  std::map<std::string, std::string> wanted;
  if (may_have_functions(vm) && is_reserved_for_any(world, vm.uuid)) {
    for (const char* operation : {"suspend", "checkpoint", "pool_migrate"})
      wanted[operation] = prefix + kWhyBlocked;
    if (has_attachment(world, vm.uuid)) wanted["migrate_send"] = prefix + kWhyNoSend;
  }
  for (const auto& [operation, why] : wanted) {
    auto at = vm.blocked_operations.find(operation);
    bool theirs = at != vm.blocked_operations.end() && !at->second.starts_with(prefix);
    if (!theirs && (at == vm.blocked_operations.end() || at->second != why)) plan.block[operation] = why;
  }
  for (const auto& [operation, why] : vm.blocked_operations)
    if (why.starts_with(prefix) && !wanted.contains(operation)) plan.unblock.push_back(operation);
}

std::optional<unsigned> number_of(const std::string& text) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void plan_devices(const Vm& vm, const std::vector<Disk>& disks, VmPlan& plan) {
  if (vm.domain_type == "pv" || vm.domain_type == "pv_in_pvh") return;
  for (const Disk& disk : disks) {
    auto number = number_of(disk.vbd->userdevice);
    if (!number || *number > 3) continue;
    if (vm.power_state == xapi::PowerState::halted)
      plan.move[disk.vbd->ref] = disk.vbd->uuid;
    else
      plan.problems.push_back(
          "VBD " + disk.vbd->uuid + " of VM " + vm.uuid.value + " has userdevice " + disk.vbd->userdevice +
          ": its guest sees vnvme's marker as a disk. Shut the VM down; vnvme then moves it");
  }
}

void plan_checks(const Vm& vm, VmPlan& plan) {
  const std::string who = "VM " + vm.uuid.value + " (" + printable(vm.name_label, 40) + ")";
  if (vm.domain_type == "pvh")
    plan.problems.push_back(who + " is PVH, which has no PCI passthrough: xe vm-param-set uuid=" +
                            vm.uuid.value + " domain-type=hvm");
  if (vm.domain_type == "pv")
    plan.problems.push_back(who +
                            " is PV: PCI passthrough works without protection by an IOMMU only; xe "
                            "vm-param-set uuid=" +
                            vm.uuid.value + " domain-type=hvm");
  if (vm.memory_dynamic_min != vm.memory_static_max && vm.memory_static_max > 0) {
    std::string most = std::to_string(vm.memory_static_max);
    plan.problems.push_back(who + " may be ballooned, which a PCI device does not survive: xe " +
                            "vm-memory-dynamic-range-set uuid=" + vm.uuid.value + " min=" + most +
                            " max=" + most);
  }
}

// Only what XAPI positively does not have is gone: an unreadable record may be that VM.
void plan_releases(const Picture& picture, const World& world, const std::set<VmId>& by_hand,
                   const std::set<VmId>& using_ours, ToolstackPlan& plan) {
  bool blind = std::any_of(picture.unreadable.begin(), picture.unreadable.end(), [](const auto& u) {
    return u.first.first == xapi::Class::vm || u.first.first == xapi::Class::vbd ||
           u.first.first == xapi::Class::vdi || u.first.first == xapi::Class::sr;
  });
  if (blind) return;
  std::map<VmId, const Vm*> known;
  for (const auto& [ref, vm] : picture.vms) known[vm.uuid] = &vm;
  std::set<VmId> gone;
  for (const auto& [key, r] : world.reservations()) {
    if (is_spare(r.vm) || has_attachment(world, r.vm)) continue;
    auto at = known.find(r.vm);
    bool unused = at != known.end() && !using_ours.contains(r.vm) && !by_hand.contains(r.vm) &&
                  at->second->power_state == xapi::PowerState::halted &&
                  at->second->current_operations.empty();
    if (at == known.end() || unused) gone.insert(r.vm);
  }
  plan.release.assign(gone.begin(), gone.end());
}

}  // namespace

bool is_credible(const Picture& picture) {
  return std::any_of(picture.vms.begin(), picture.vms.end(),
                     [](const auto& vm) { return vm.second.is_control_domain; });
}

const xapi::Host* own_host(const Picture& picture, const World& world) {
  for (const auto& [ref, pbd] : picture.pbds) {
    const xapi::Sr* sr = Picture::find(picture.srs, pbd.SR);
    if (sr != nullptr && !sr->shared && world.sr(sr->uuid) != nullptr)
      return Picture::find(picture.hosts, pbd.host);
  }
  return nullptr;
}

ToolstackPlan plan_toolstack(const Picture& picture, const World& world, const HostFunctions& functions,
                             const std::set<VmId>& by_hand) {
  ToolstackPlan plan;
  const xapi::Host* self = own_host(picture, world);
  if (self == nullptr || !is_credible(picture)) return plan;
  std::set<VmId> using_ours;
  const auto all_disks = disks_by_vm(picture, world);
  for (const auto& [ref, vm] : picture.vms) {
    if (vm.is_control_domain || is_elsewhere(vm, *self, all_disks)) continue;
    VmPlan one;
    one.ref = ref;
    one.uuid = vm.uuid;
    one.name = vm.name_label;
    plan_pci(world, functions, vm, one);
    plan_guards(world, *self, vm, one);
    if (may_have_functions(vm)) {
      auto at = all_disks.here.find(ref);
      const auto disks = at == all_disks.here.end() ? std::vector<Disk>() : at->second;
      std::set<DpuId> needed;
      for (const Disk& disk : disks) needed.insert(disk.dpu);
      if (!disks.empty()) using_ours.insert(vm.uuid);
      for (const DpuId& dpu : needed) {
        const ReservationRecord* r = world.reservation(vm.uuid, dpu);
        if (r == nullptr || r->function.empty()) plan.reserve.emplace_back(vm.uuid, dpu);
      }
      plan_devices(vm, disks, one);
      if (!disks.empty()) plan_checks(vm, one);
    }
    if (!one.empty()) plan.vms.push_back(std::move(one));
  }
  std::stable_partition(plan.vms.begin(), plan.vms.end(),
                        [](const VmPlan& v) { return !v.stripped.empty(); });
  plan_releases(picture, world, by_hand, using_ours, plan);
  return plan;
}

std::map<xapi::Ref, std::vector<OwnDisk>> vms_of_host(const Picture& picture, const World& world) {
  std::map<xapi::Ref, std::vector<OwnDisk>> out;
  const xapi::Host* self = own_host(picture, world);
  if (self == nullptr) return out;
  const auto disks = disks_by_vm(picture, world);
  for (const auto& [ref, vm] : picture.vms) {
    if (vm.is_control_domain || is_elsewhere(vm, *self, disks)) continue;
    auto& mine = out[ref];
    auto at = disks.here.find(ref);
    if (at == disks.here.end()) continue;
    for (const Disk& disk : at->second) mine.push_back({disk.vbd, disk.dpu});
  }
  return out;
}

}  // namespace vnvme::model
