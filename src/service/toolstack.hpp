// Follows XAPI and makes true what its VMs need (model/vm_plan.hpp): functions
// reserved for VMs with volumes of ours, `other_config:pci` right in every VM,
// operations blocked that a PCI device does not survive. Each round starts from
// what XAPI and the DPU say now, so it may be interrupted anywhere; it keeps
// nothing but what it already told people.
#pragma once
#include <map>
#include <set>

#include "model/vm_plan.hpp"
#include "service/core.hpp"
#include "service/pbds.hpp"

namespace vnvme::service {

class Toolstack {
 public:
  explicit Toolstack(Core& core) : core_(core), pbds_(core) {}
  // Until Core::stop(). At once when there is no XAPI (Ports::xapi is null).
  Task<void> run();

  // One round over the picture as it is: true when nothing is left to do that could be done now.
  Task<bool> round();

  // Functions in this host, as the last round saw them; those of a DPU that did not answer are not there.
  [[nodiscard]] const model::HostFunctions& shown() const { return shown_; }
  Signal looked;  // a round is over

 private:
  struct Writes {
    MonoClock::time_point last{};
    unsigned recent = 0;  // repairs of the same key that somebody undid soon after
  };
  // What this host shows of our DPUs; DPUs that do not answer are left out, and so are their entries.
  Task<model::HostFunctions> functions();
  Task<bool> reserve(std::vector<std::pair<VmId, DpuId>> wanted);
  Task<bool> release(std::vector<VmId> vms);
  Task<bool> unlist(VmId vm);
  Task<bool> write(model::VmPlan vm);
  Task<bool> move_vbds(const model::VmPlan& vm);
  Task<bool> write_pci(const model::VmPlan& vm);
  void tell(const model::VmPlan& vm);

  Core& core_;
  Pbds pbds_;
  model::HostFunctions shown_;
  std::map<VmId, Writes> writes_;
  std::map<VmId, std::set<std::string>> told_;
  std::map<std::pair<VmId, DpuId>, std::string> refused_;  // why no function could be reserved
  std::string trouble_;
};

}  // namespace vnvme::service
