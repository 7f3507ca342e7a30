// Where a call works: the SR it names, its DPU and pool, checked once.
#pragma once
#include "service/link.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::service {

struct Place {
  SrRecord sr;
  Link* link = nullptr;
};

// The SR must be known, ready and attached.
Result<SrRecord> usable_sr(const Core& core, const SrId& sr);
// And its names must not be lost: an answer with empty names would make XAPI erase its own (C5).
Result<SrRecord> listable_sr(const Core& core, const SrId& sr);
// And its DPU must be there, with the pool; waits for it until the deadline.
Task<Result<Place>> place_of(Core& core, SrId sr, Deadline deadline);
// The link of that SR's DPU if it may be worked on right now, else null. For work that nobody waits for.
Link* ready_link(const Core& core, const SrId& sr);
// The volume as XAPI may see it, or not_found (a positive answer: the records are all there).
Result<VolumeRecord> visible_volume(const Core& core, const SrId& sr, const VolumeId& volume);

// What SMAPI shows of a volume. `seen` may be null: allocation unknown counts as the full size.
smapi::Volume shown(const VolumeRecord& volume, const dpu::DpuVolume* seen);
smapi::Volume shown(const Core& core, const VolumeRecord& volume);

}  // namespace vnvme::service
