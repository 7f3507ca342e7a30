// What an administrator finds about vnvme's drives in XAPI: a few keys of
// other_config, in Xen Orchestra and with `xe vdi-param-list`. For people only:
// vnvme never reads them back as truth. Pure: from one picture to what is to be written.
#pragma once
#include <string>
#include <vector>

#include "model/vm_plan.hpp"

namespace vnvme::model {

// These keys are vnvme's own. Others that begin with "vnvme-" belong to people and stay.
//   VDI  vnvme-state      attached | active | active-read-only | releasing; none of the keys: no VM has it
//        vnvme-serial     of the NVMe controller that shows it to its VM
//        vnvme-bdf        PCI address of that controller in this host
//   VM   vnvme-state      no-function | reserved | attached
//        vnvme-serial     of its NVMe controllers, with commas
//        vnvme-functions  their PCI addresses in this host, with commas
//        vnvme-host       uuid of the host whose vnvmed wrote the four
inline constexpr const char* kStateKey = "vnvme-state";
inline constexpr const char* kSerialKey = "vnvme-serial";
inline constexpr const char* kBdfKey = "vnvme-bdf";
inline constexpr const char* kFunctionsKey = "vnvme-functions";
inline constexpr const char* kHostKey = "vnvme-host";

struct Publication {
  xapi::Class cls = xapi::Class::vdi;
  xapi::Ref ref;
  std::string uuid;
  xapi::Map wanted;                                      // the keys as they shall be
  std::vector<std::pair<std::string, std::string>> set;  // in this order: whose it is, first
  std::vector<std::string> remove;                       // in this order: whose it was, last
};

// Objects whose keys are not what they should be. Of several hosts in a pool each speaks for its own SRs and
// VMs only. An address that `functions` does not show is not known: then its key stays as it is.
std::vector<Publication> plan_publications(const xapi::Picture& picture, const World& world,
                                           const HostFunctions& functions);

}  // namespace vnvme::model
