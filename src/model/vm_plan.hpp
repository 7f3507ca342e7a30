// What must be done in XAPI and on the DPU so that VMs find their volumes
// (design: From VBD to PCI device): who needs a function, whose
// `other_config:pci` is wrong, what is to be blocked, what people must be told.
// Pure: from one picture of XAPI and our records to one plan.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/world.hpp"
#include "vnvme/xapi.hpp"

namespace vnvme::model {

// A function of a DPU of ours, by its address in this host. Foreign ones are not here.
struct HostFunction {
  DpuId dpu;
  FunctionId function;
  std::string serial;
};
using HostFunctions = std::map<std::string, HostFunction>;  // by BDF

struct VmPlan {
  xapi::Ref ref;
  VmId uuid;
  std::string name;
  std::optional<std::string> pci;            // other_config:pci shall be that; empty: no such key
  std::vector<std::string> stripped;         // functions of ours in its list that are not reserved for it
  std::map<std::string, std::string> block;  // operation -> why; all begin with kBlockPrefix
  std::vector<std::string> unblock;
  std::map<xapi::Ref, std::string> move;  // VBDs at a userdevice that HVM emulates -> uuid of the VBD
  std::vector<std::string> problems;      // for people, each with the command that repairs it
  [[nodiscard]] bool empty() const {
    return !pci && block.empty() && unblock.empty() && move.empty() && problems.empty();
  }
};

struct ToolstackPlan {
  std::vector<std::pair<VmId, DpuId>> reserve;
  std::vector<VmId> release;  // the VM is gone, or it is halted and has no volume of ours any more
  std::vector<VmPlan> vms;    // those with something to do, unclean ones first
};

// What stands in blocked_operations begins with it and our host's uuid: the other hosts of a pool have a
// vnvmed of their own.
inline constexpr const char* kBlockPrefix = "vnvme: host ";
// The picture is one that can be believed: XAPI always has a control domain.
bool is_credible(const xapi::Picture& picture);
// The host that has our SRs; nullptr while XAPI knows none of them.
const xapi::Host* own_host(const xapi::Picture& picture, const World& world);
// VMs of other hosts of the pool are left alone, for there the same address is another function: those that
// run there, that have their vNVMe drives there, or that are to start there and have none here. `by_hand`:
// VMs whose reservation an administrator made; it stays without volumes.
ToolstackPlan plan_toolstack(const xapi::Picture& picture, const World& world, const HostFunctions& functions,
                             const std::set<VmId>& by_hand);

// The VMs that this host speaks for, by the same rule, each with its VBDs on volumes of ours (none: it may
// still have a reservation by hand, or keys that it should not have).
struct OwnDisk {
  const xapi::Vbd* vbd;
  DpuId dpu;
};
std::map<xapi::Ref, std::vector<OwnDisk>> vms_of_host(const xapi::Picture& picture, const World& world);

}  // namespace vnvme::model
