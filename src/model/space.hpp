// Space of a pool: what may still be promised (design: Space). Pure.
#pragma once
#include <string>
#include <unordered_map>

#include "model/world.hpp"
#include "vnvme/dpu.hpp"
#include "vnvme/result.hpp"

namespace vnvme::model {

// Thin pools take no new volume above this part of their space.
inline constexpr double kThinFullPercent = 95.0;
inline constexpr std::size_t kMaxDepth = 16;

struct Space {
  Bytes total, free;
  Bytes reserved;  // thick SRs: what written-to-be clusters of snapshotted volumes will still need
  [[nodiscard]] Bytes available() const { return free - reserved; }
  [[nodiscard]] double used_percent() const;
};

// Volumes of one pool as the DPU last told, by the DPU's id.
using Observed = std::unordered_map<std::string, dpu::DpuVolume>;

// SPDK makes a thick volume thin for good when it is snapshotted; in a thick SR its not yet allocated rest
// stays promised. Volumes whose allocation the DPU does not tell count as fully allocated.
Space space_of(const SrRecord&, const World&, const dpu::Pool&, const Observed& observed);

// May a volume of that size (or growth of that many bytes) be made now?
Result<void> may_allocate(const SrRecord&, const Space&, Bytes growth);

// The length of the chain of snapshots below the lvol of that name (0: none). Bounded by the list's size.
std::size_t depth_of(const Observed& observed, const std::string& name);

// How much to erase next, after a piece of that size took that long: so that a pool's lane is free again
// about every two seconds. Never below `least`.
Bytes next_wipe_piece(Bytes piece, MonoClock::duration took, Bytes least);

// 80, 90 or 95 when the pool's use has reached it; 0 below.
int fill_alarm(const Space&);

}  // namespace vnvme::model
