// What to do with an intent that nobody works on any more: after a crash, a
// lost connection, a front-end that went away. Each is resolved by looking at
// the DPU (C3), and each may itself be interrupted and run again (C4).
#pragma once
#include "service/link.hpp"

namespace vnvme::service {

// An effect that is not there may still be on its way: the DPU goes on with what a dead daemon, or a lost
// connection, had asked for. Only after a while its absence proves anything.
enum class Absence { doubtful, proven };
// Who has the lane of the intent's pool.
enum class LaneHeld { no, yes };

// The caller holds the guard of the intent's volume (of its SR, for sr_* intents). On success the intent is
// gone from the store; on an error it is still there. Errc::busy: nothing was found, and that is doubtful.
Task<Result<void>> resolve_intent(Core& core, Link& link, IntentRecord intent, Absence absence, LaneHeld held,
                                  Deadline deadline);

// The guard that resolve_intent() wants held.
std::string guard_of(const IntentRecord& intent);

}  // namespace vnvme::service
