// What every call that changes a pool does around its effect: an intent
// (C1), the pool's lane, a look at what really happened (C3), and then one of
// three ends: committed, given up, or left open for the housekeeper.
#pragma once
#include "service/place.hpp"

namespace vnvme::service {

VolumeRecord new_volume(Core& core, const SrRecord& sr, std::string name, std::string description,
                        VolumeKind kind, Bytes size);
IntentRecord new_intent(Core& core, IntentKind kind, const SrRecord& sr, const VolumeId& volume,
                        const RequestId& request);

// The lane of the pool, for the effect of an intent that is durable already. On error nothing was done, and
// the intent is given up.
Task<Result<Lane::Hold>> lane_for(Core& core, Place place, IntentRecord intent, std::string what,
                                  Deadline deadline);
// Reads back lvol `name` that the effect should have made, whatever its answer was. On error the intent is
// given up, or stays when the lvol may still appear.
Task<Result<dpu::DpuVolume>> confirm(Core& core, Place place, IntentRecord intent, Result<DpuVolumeId> answer,
                                     std::string name, Deadline deadline);
// Takes back a creation that certainly did not happen; the intent stays when it may have.
Task<void> give_up(Core& core, IntentRecord intent, Outcome outcome);
// The volume is there, and is XAPI's as soon as the front-end says the word (R5).
smapi::Volume leave_pending(Core& core, const smapi::Context& context, VolumeRecord volume,
                            IntentRecord intent, const dpu::DpuVolume* seen);

}  // namespace vnvme::service
