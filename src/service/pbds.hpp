// After a boot of the host: PBDs of ours that XAPI could not plug, because
// vnvmed or its DPU came late. XAPI tries once and never again, so vnvmed asks
// it to, once a boot; whoever unplugs a PBD later wants it unplugged.
#pragma once
#include <map>
#include <string>

#include "service/core.hpp"

namespace vnvme::service {

class Pbds {
 public:
  explicit Pbds(Core& core) : core_(core) {}
  // One look at XAPI as it is; true when there is nothing to wait for. Interrupted anywhere: begins again.
  Task<bool> round();

 private:
  struct Attempt {
    MonoClock::time_point next;
    unsigned tries = 0;
  };
  Task<void> plug(const xapi::Pbd& pbd, const xapi::Sr& sr, Attempt& attempt);

  Core& core_;
  std::map<std::string, Attempt> attempts_;  // by PBD uuid
};

}  // namespace vnvme::service
