// A DPU as the services see it: its client, its lanes, what was last observed
// on it, and the supervisor that looks at everything anew after each
// connection before anybody may change anything (P2).
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/space.hpp"
#include "service/core.hpp"

namespace vnvme::service {

struct PoolView {
  dpu::Pool pool;
  model::Observed volumes;  // by the DPU's id
};

class Link {
 public:
  Link(Core& core, DpuId id, std::unique_ptr<dpu::Dpu> client);
  void start();
  void stop();

  [[nodiscard]] const DpuId& id() const { return id_; }
  [[nodiscard]] dpu::Dpu& dpu() { return *client_; }
  [[nodiscard]] const dpu::Dpu& dpu() const { return *client_; }
  [[nodiscard]] bool is_ready() const { return ready_; }
  // In the first seconds after the daemon's start nobody can say that the DPU is away: who asks waits for it.
  [[nodiscard]] bool is_starting() const;
  [[nodiscard]] bool first_look() const { return looks_ == 0; }
  [[nodiscard]] std::size_t looks() const { return looks_; }  // how often all of the DPU was looked at
  [[nodiscard]] const dpu::Identity& identity() const { return identity_; }

  // Completes when the DPU was looked at after the latest connection; else `unreachable`, saying why.
  Task<Result<void>> ready(Deadline deadline);
  // Mutations of one pool, one at a time (pipelined ones crash real SPDK).
  Lane& lane(const PoolId& pool);
  Lane& functions_lane() { return functions_lane_; }

  // The lanes in use right now, by name.
  [[nodiscard]] std::map<std::string, Lane::Busy> lane_holders() const;

  // What was observed of that pool; nothing when the DPU does not have it.
  PoolView* view(const PoolId& pool);
  [[nodiscard]] const PoolView* view(const PoolId& pool) const;
  [[nodiscard]] const std::map<PoolId, PoolView>& views() const { return views_; }
  void forget_pool(const PoolId& pool) { views_.erase(pool); }
  // Free space and, when full is true, all volumes, read anew.
  Task<Result<void>> refresh_pools(Deadline deadline);
  Task<Result<void>> refresh_volumes(PoolId pool, Deadline deadline);

  // Looks at everything once more, in the background (an SR of this DPU has just become known).
  void look_again();
  // Asks until the DPU gave an answer or the deadline passed (C3). Absence in an answer is positive.
  Task<Result<std::optional<dpu::DpuVolume>>> probe(PoolId pool, std::string name, Deadline deadline);
  Task<Result<std::optional<dpu::DpuVolume>>> probe(DpuVolumeId id, Deadline deadline);
  // After a mutation that should have made volume `name`: reads it back whatever the answer was.
  // Error not_done: certainly not made. Error unknown: keep the intent.
  Task<Result<dpu::DpuVolume>> confirm_made(Result<DpuVolumeId> answer, PoolId pool, std::string name,
                                            Deadline deadline);
  // Deletes that lvol unless it is exposed; absent is success. The caller holds the pool's lane and a durable
  // deleting or creating intent (I1).
  Task<Result<void>> remove(DpuVolumeId id, Deadline deadline);
  // Cuts that lvol down and erases what is cut off, unless it is exposed: for trash only (I5). Gives it as it
  // is now. The caller holds the pool's lane.
  Task<Result<dpu::DpuVolume>> shrink(DpuVolumeId id, Bytes size, Deadline deadline);
  // Updates what was observed with one record just read.
  void saw(const dpu::DpuVolume& volume);
  void lost(const PoolId& pool, const DpuVolumeId& id);
  void renamed(const PoolId& pool, const DpuVolumeId& id, const std::string& name);

 private:
  Task<void> supervise();
  // Errc::in_use when it is exposed (I1).
  Task<Result<void>> check_unexposed(dpu::DpuVolume lvol, Deadline deadline);
  Task<Result<void>> look();  // connects nothing: lists everything, then hands over to the reconciler

  Core& core_;
  DpuId id_;
  std::unique_ptr<dpu::Dpu> client_;
  bool ready_ = false;
  MonoClock::time_point started_{};
  std::size_t looks_ = 0;  // completed ones
  dpu::Identity identity_;
  std::map<PoolId, Lane> lanes_;
  Lane functions_lane_;
  std::map<PoolId, PoolView> views_;
  Signal changed_;
};

}  // namespace vnvme::service
