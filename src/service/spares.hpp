// Functions kept ready for VMs that do not exist yet: open, plugged, empty and
// on pciback, so that a VM's reservation is one commit and one write to XAPI
// (a tool that creates a VBD and starts the VM right after it does not wait for
// a hot-plug). A spare is a ReservationRecord for nobody (model::spare_holder):
// it survives restarts of both sides as the others do, and no VM's list of
// functions may name it.
#pragma once
#include <map>
#include <set>

#include "service/link.hpp"

namespace vnvme::service {

class Spares {
 public:
  explicit Spares(Core& core) : core_(core) {}
  // Until Core::stop(). At once where functions are reserved by hand.
  Task<void> run();
  // Opens what lacks, closes what is too many, on each DPU that answers; true when each has what it should.
  Task<bool> round();

 private:
  Task<Result<void>> level(Link& link);
  Task<Result<void>> look(Link& link);
  Task<Result<void>> open(Link& link, ReservationRecord spare);

  Core& core_;
  std::map<DpuId, std::string> refused_;  // why there are fewer, as people were told
  std::map<DpuId, std::uint64_t> seen_;   // the session in which its spares were looked at last (P2)
};

// A spare that is complete and that nobody else takes while `claim` is held; nothing when there is none.
std::optional<ReservationRecord> claim_spare(Core& core, const DpuId& dpu, Lane::Hold& claim);
// Closes one spare, because something else needs its place. The DPU's functions lane is held. False: there
// was none, or it could not be closed.
Task<bool> give_up_spare(Core& core, Link& link, Deadline deadline);

}  // namespace vnvme::service
