// A DPU in memory with SPDK's rules (clusters, snapshots, merging deletes, no
// protection of exported volumes), for tests of the services. The card
// outlives the client, as a real one outlives the daemon.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "support/fault_plan.hpp"
#include "vnvme/dpu.hpp"

namespace vnvme::test {

struct Lvol {
  dpu::DpuVolume info;
  std::string content;  // stands for the data
};

struct Card {
  Bytes cluster = MiB(4);
  std::map<std::string, dpu::Drive> drives;
  std::map<std::string, dpu::Raid> raids;
  std::map<std::string, dpu::Pool> pools;  // by id
  std::map<std::string, Lvol> lvols;       // by id
  std::map<std::string, dpu::Function> functions;
  std::vector<dpu::Exposure> exposures;
  std::map<std::string, dpu::IoStat> io;
  std::uint64_t generation = 1;
  bool up = true;
  std::size_t most_functions = 8;
  bool half_made_when_full = false;  // SNAP: the function's subsystem is there when the card refuses the rest
  std::size_t deletes_while_exposed = 0;  // must stay 0 (I1)
  std::size_t shrinks = 0;                // of what is not trash: must stay 0 (I5)
  std::size_t cuts = 0;                   // pieces of trash that were cut off
  std::size_t overlapping = 0;            // mutations of one pool at the same time: must stay 0
  std::map<std::string, int> in_flight;
  MonoClock::duration slow_cut{};  // how long shrinking takes
  bool overdue = false;            // an answer of a change is: nobody knows yet what becomes of that

  explicit Card(std::size_t drive_count = 2);
  // Everything that SPDK loses: exports, RAIDs; functions too when the whole card reboots.
  void restart(bool whole_card);
  // A connection that comes back is a new session.
  void power(bool on) {
    generation += on && !up ? 1 : 0;
    up = on;
  }
  Lvol* by_name(const std::string& pool, const std::string& name);
};

class FakeDpu : public dpu::Dpu {
 public:
  FakeDpu(Card& card, FaultPlan& plan) : card_(card), plan_(plan) {}

  std::uint64_t generation() const override { return seen_; }
  bool connected() const override { return card_.up && !down_; }
  Task<Result<std::uint64_t>> wait_generation(std::uint64_t seen, Deadline) override;
  Task<Result<void>> wait_lost(Deadline) override;
  Task<Result<dpu::Identity>> identify(Deadline) override;
  const dpu::Capabilities& capabilities() const override { return capabilities_; }
  const std::string& endpoint() const override { return endpoint_; }
  std::string trouble() const override { return card_.up ? "" : "the fake card is switched off"; }

  Task<Result<std::vector<dpu::Drive>>> list_drives(Deadline) override;
  Task<Result<std::vector<dpu::Raid>>> list_raids(Deadline) override;
  Task<Result<void>> create_raid(dpu::CreateRaid, Deadline) override;
  Task<Result<void>> delete_raid(std::string, Deadline) override;
  Task<Result<void>> settle(Deadline) override;
  Task<Result<std::vector<dpu::Pool>>> list_pools(Deadline) override;
  Task<Result<PoolId>> create_pool(dpu::CreatePool, Deadline) override;
  Task<Result<void>> delete_pool(PoolId, Deadline) override;
  Task<Result<void>> quiet(PoolId, Deadline) override;
  Task<Result<std::vector<dpu::DpuVolume>>> list_volumes(PoolId, Deadline) override;
  Task<Result<std::vector<dpu::DpuVolume>>> list_volume_names(PoolId, Deadline) override;
  Task<Result<std::optional<dpu::DpuVolume>>> find_volume(PoolId, std::string, Deadline) override;
  Task<Result<std::optional<dpu::DpuVolume>>> find_volume(DpuVolumeId, Deadline) override;
  Task<Result<DpuVolumeId>> create_volume(dpu::CreateVolume, Deadline) override;
  Task<Result<DpuVolumeId>> snapshot_volume(DpuVolumeId, std::string, Deadline) override;
  Task<Result<DpuVolumeId>> clone_volume(DpuVolumeId, std::string, Deadline) override;
  Task<Result<void>> resize_volume(DpuVolumeId, Bytes, Deadline) override;
  Task<Result<void>> shrink_volume(DpuVolumeId, Bytes, Deadline) override;
  Task<Result<void>> rename_volume(DpuVolumeId, std::string, Deadline) override;
  Task<Result<void>> set_read_only(DpuVolumeId, Deadline) override;
  Task<Result<void>> inflate_volume(DpuVolumeId, Deadline) override;
  Task<Result<void>> decouple_volume(DpuVolumeId, Deadline) override;
  Task<Result<void>> delete_volume(DpuVolumeId, Deadline) override;
  Task<Result<void>> set_qos(DpuVolumeId, std::uint64_t, std::uint64_t, Deadline) override;
  Task<Result<dpu::IoStat>> io_stat(DpuVolumeId, Deadline) override;
  Task<Result<std::vector<dpu::Function>>> list_functions(Deadline) override;
  Task<Result<dpu::Function>> open_function(std::string, Deadline, FunctionId preferred) override;
  Task<Result<void>> close_function(FunctionId, Deadline) override;
  Task<Result<std::vector<dpu::Exposure>>> list_exposures(Deadline) override;
  Task<Result<void>> expose(dpu::Expose, Deadline) override;
  Task<Result<void>> unexpose(FunctionId, std::uint32_t, Deadline) override;
  void shutdown() override { down_ = true; }

  dpu::Capabilities capabilities_{true, true, true, true, true, true,
                                  true, true, true, 64,   63,   {"raid0", "raid1", "concat"}};

 private:
  template <class Effect>
  auto step(std::string what, Effect effect) -> Task<decltype(effect())>;
  template <class Effect>
  auto mutate(std::string what, std::string pool, Effect effect) -> Task<decltype(effect())>;
  // Effects know the card only: one that is late outlives the client that asked for it.
  static dpu::DpuVolume describe(const Card& c, const Lvol&);
  static Result<DpuVolumeId> add(Card& c, const std::string& pool, const std::string& name, Bytes size,
                                 bool thin, std::string parent, std::string content);

  Card& card_;
  FaultPlan& plan_;
  std::uint64_t seen_ = 0;
  bool down_ = false;
  std::string endpoint_ = "fake:";
};

}  // namespace vnvme::test
