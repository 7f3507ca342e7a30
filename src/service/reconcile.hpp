// After each (re)connection: compares what is wanted (store) with what is (DPU
// and host) and brings them together, before anybody may change anything. It
// never deletes what it does not know (I1); it may be killed at any point (C4).
#pragma once
#include <utility>
#include <vector>

#include "service/link.hpp"
#include "service/resolve.hpp"

namespace vnvme::service {

class Reconciler {
 public:
  // Objects with open intents, and the pools where a dead daemon's last change may still be under way: nobody
  // else changes these until that is certain.
  struct Guarded {
    std::vector<std::pair<IntentRecord, Lane::Hold>> intents;
    std::map<PoolId, Lane::Hold> lanes;
    std::optional<Lane::Hold> functions;  // nobody may take a function before its holders have theirs back
  };

  Reconciler(Core& core, Link& link) : core_(core), link_(link) {}

  // RAIDs without a superblock are gone after a restart of the DPU; the same recipe brings pool and data
  // back.
  Task<Result<void>> restore_raids();
  // Which pool is which SR's; volumes missing, unknown, of other size; SRs to be adopted.
  Task<Result<void>> recognise();
  // Takes the guards of all objects with intents that no call works on, at once.
  Guarded guard_intents();
  // Takes away namespaces and functions of ours that nobody wants.
  Task<Result<void>> sweep();
  // Resolves those, then functions and exposures. What fails is left to the housekeeper.
  Task<void> converge(Guarded guarded);

 private:
  // Tries to resolve each, and keeps those that could not be.
  Task<void> resolve_all(Guarded& guarded, Absence absence);
  void inventory(const SrRecord& sr, const PoolView& view, std::vector<Change>& changes);
  void adopt(const SrRecord& sr, const PoolView& view, std::vector<Change>& changes);
  // Both with the function lane in hand.
  Task<Result<void>> restore_in_lane(Guarded& guarded);
  Task<Result<void>> restore_functions();
  Task<Result<void>> close_strangers();
  Task<Result<void>> restore_exposures();
  Task<Result<bool>> still_own(AttachmentRecord attachment);
  Task<Result<void>> drop_strangers(const std::vector<dpu::Exposure>& exposures);

  Core& core_;
  Link& link_;
};

}  // namespace vnvme::service
