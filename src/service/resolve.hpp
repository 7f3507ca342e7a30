// What to do with an intent that nobody works on any more: after a crash, a
// lost connection, a front-end that went away. Each is resolved by looking at
// the DPU (C3), and each may itself be interrupted and run again (C4).
#pragma once
#include "service/link.hpp"

namespace vnvme::service {

// The caller holds the guard of the intent's volume (of its SR, for sr_* intents). Takes the pool's lane
// itself. On success the intent is gone from the store; on an error it is still there.
Task<Result<void>> resolve_intent(Core& core, Link& link, IntentRecord intent, Deadline deadline);

// The guard that resolve_intent() wants held.
std::string guard_of(const IntentRecord& intent);

}  // namespace vnvme::service
