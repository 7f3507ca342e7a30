// May a drive be taken for a pool (I6)? A drive behind the DPU is read
// through a temporary exposure to dom0; one that cannot be read counts as
// holding data.
#pragma once
#include "service/link.hpp"

namespace vnvme::service {

struct DriveVerdict {
  bool takeable = false;
  std::string reason;  // why not, or why it was judged empty; for people
};

// Without looking inside: claimed by something on the DPU already?
DriveVerdict judge_use(const dpu::Drive& drive);

// Looks inside. The caller holds the DPU's function lane; dom0 must be able to see functions of the DPU.
// What it exposed is taken back whatever happens.
Task<DriveVerdict> judge_contents(Core& core, Link& link, dpu::Drive drive, Deadline deadline);

// The dom0 function of that DPU: opened, on dom0's nvme driver. Lane held by the caller.
Task<Result<dpu::Function>> open_dom0_function(Core& core, Link& link, Deadline deadline);

}  // namespace vnvme::service
