// A PCI function for a VM (I4): reserved before the VM starts, because XAPI
// reads the list of its functions then, and only then. One function a VM and
// DPU carries all its volumes there.
#pragma once
#include "service/link.hpp"

namespace vnvme::service {

// By hand: it stays although the VM has no volume of ours.
enum class ReservedBy { hand, toolstack };

// Idempotent. The function is open, ready and bound to pciback afterwards; its `bdf` is empty while this host
// does not see it yet. Errc::conflict: another VM has that serial.
Task<Result<dpu::Function>> reserve_function(Core& core, VmId vm, Link& link, ReservedBy by,
                                             Deadline deadline);
// Idempotent. Errc::in_use while the VM has a volume attached.
Task<Result<void>> release_functions(Core& core, VmId vm, Deadline deadline);
[[nodiscard]] std::set<VmId> reserved_by_hand(const Core& core);

}  // namespace vnvme::service
