// The work that no call waits for: collecting what was never confirmed,
// releasing what was detached, renaming, merging hidden snapshots, watching
// the space (freeing what was destroyed takes longer: trash.hpp). Everything
// it does is written in the store before, so it may be killed at any point and
// goes on after a restart.
#pragma once
#include <map>

#include "service/datapath_calls.hpp"
#include "service/link.hpp"

namespace vnvme::service {

class Housekeeper {
 public:
  Housekeeper(Core& core, DatapathCalls& datapath) : core_(core), datapath_(datapath) {}
  // Runs until Core::stop().
  Task<void> run();
  // One round over everything; true when there is nothing left that could be done now.
  Task<bool> round();

 private:
  void expire_pending();
  Task<void> store_releases();
  Task<bool> sweep();
  Task<bool> open_intents();
  Task<bool> renames();
  Task<bool> bases();
  Task<bool> releases();
  Task<bool> release_one(AttachmentRecord record, Link& link);
  Task<bool> may_release(const AttachmentRecord& record, Link& link, const VolumeRecord& volume);
  Task<void> vanished_domains();
  Task<void> watch_space();

  // Walks over all volumes are for when something changed, not for each look at the clock.
  struct Settled {
    std::uint64_t world = 0;
    std::size_t looks = 0;
    friend bool operator==(const Settled&, const Settled&) = default;
  };
  [[nodiscard]] Settled now() const;
  Task<bool> volumes();

  struct Idle {
    dpu::IoStat stat;
    MonoClock::time_point since;
  };
  Core& core_;
  DatapathCalls& datapath_;
  std::map<std::uint64_t, MonoClock::time_point> first_seen_;  // open intents
  std::map<VolumeId, Idle> idle_;  // volumes of live guests that are to be released
  std::map<SrId, int> alarms_;
  std::optional<Settled> settled_;  // when the last walk over all volumes left nothing to do
  MonoClock::time_point next_watch_{};
  MonoClock::time_point next_sweep_{};
};

}  // namespace vnvme::service
