// What is wrong right now, as far as people should know: from what was seen of
// the DPUs, our records and one picture of XAPI. Pure; what cannot be seen at
// the moment is said to be unknown, never to be fine.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "model/notices.hpp"
#include "model/space.hpp"
#include "model/vm_plan.hpp"

namespace vnvme::model {

struct PoolSeen {
  dpu::Pool pool;
  const Observed* volumes = nullptr;  // outlives the call
  Observed fresh;                     // what `volumes` points to when they were listed anew
  bool certain = true;                // not: the list may be older than the volumes
};

// Volumes of ours that are not there, though nobody is at work on them.
std::size_t count_missing(const SrRecord& sr, const World& world, const Observed& volumes);

struct DpuSeen {
  std::string name;     // for people
  bool ready = false;   // connected, and looked at
  std::string trouble;  // why not
  std::map<PoolId, PoolSeen> pools;
  std::optional<std::vector<dpu::Raid>> raids;  // nothing: could not be asked
};
using DpusSeen = std::map<DpuId, DpuSeen>;

struct Troubles {
  std::vector<Notice> found;
  std::vector<Notices::Key> unknown;  // whatever stood there goes on standing
};

// `known` for the hysteresis of fill levels.
Troubles find_troubles(const xapi::Picture& picture, const World& world, const DpusSeen& dpus,
                       const Notices& known);

}  // namespace vnvme::model
