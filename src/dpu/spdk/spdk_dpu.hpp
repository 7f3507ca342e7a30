// The DPU port on an SPDK target.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "dpu/registry.hpp"
#include "dpu/spdk/functions.hpp"
#include "dpu/spdk/lvol.hpp"
#include "dpu/spdk/raid.hpp"

namespace vnvme::dpu::spdk {

Result<std::unique_ptr<Dpu>> make_spdk_dpu(boost::asio::io_context& io, const Options& options);
// With a transport of one's own: tests.
std::unique_ptr<Dpu> make_spdk_dpu(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector,
                                   std::string clear_method, std::optional<Listener> listener,
                                   rpc::Client::Options client = {}, Quirks quirks = {});

class SpdkDpu final : public Dpu {
 public:
  SpdkDpu(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector, std::string clear_method,
          std::optional<Listener> listener, rpc::Client::Options client, Quirks quirks = {});
  ~SpdkDpu() override;

  [[nodiscard]] std::uint64_t generation() const override;
  [[nodiscard]] bool connected() const override;
  Task<Result<std::uint64_t>> wait_generation(std::uint64_t seen, Deadline) override;
  Task<Result<void>> wait_lost(Deadline) override;
  Task<Result<Identity>> identify(Deadline) override;
  [[nodiscard]] const Capabilities& capabilities() const override;
  [[nodiscard]] const std::string& endpoint() const override;
  [[nodiscard]] std::string trouble() const override;

  Task<Result<std::vector<Drive>>> list_drives(Deadline) override;
  Task<Result<std::vector<Raid>>> list_raids(Deadline) override;
  Task<Result<void>> create_raid(CreateRaid, Deadline) override;
  Task<Result<void>> delete_raid(std::string name, Deadline) override;
  Task<Result<void>> settle(Deadline) override;
  Task<Result<std::vector<Pool>>> list_pools(Deadline) override;
  Task<Result<PoolId>> create_pool(CreatePool, Deadline) override;
  Task<Result<void>> delete_pool(PoolId, Deadline) override;
  Task<Result<void>> quiet(PoolId, Deadline) override;

  Task<Result<std::vector<DpuVolume>>> list_volumes(PoolId pool, Deadline) override;
  Task<Result<std::vector<DpuVolume>>> list_volume_names(PoolId pool, Deadline) override;
  Task<Result<std::optional<DpuVolume>>> find_volume(PoolId pool, std::string name, Deadline) override;
  Task<Result<std::optional<DpuVolume>>> find_volume(DpuVolumeId id, Deadline) override;
  Task<Result<DpuVolumeId>> create_volume(CreateVolume, Deadline) override;
  Task<Result<DpuVolumeId>> snapshot_volume(DpuVolumeId source, std::string name, Deadline) override;
  Task<Result<DpuVolumeId>> clone_volume(DpuVolumeId snapshot, std::string name, Deadline) override;
  Task<Result<void>> resize_volume(DpuVolumeId, Bytes new_size, Deadline) override;
  Task<Result<void>> shrink_volume(DpuVolumeId, Bytes size, Deadline) override;
  Task<Result<void>> rename_volume(DpuVolumeId, std::string name, Deadline) override;
  Task<Result<void>> set_read_only(DpuVolumeId, Deadline) override;
  Task<Result<void>> inflate_volume(DpuVolumeId, Deadline) override;
  Task<Result<void>> decouple_volume(DpuVolumeId, Deadline) override;
  Task<Result<void>> delete_volume(DpuVolumeId, Deadline) override;
  Task<Result<void>> set_qos(DpuVolumeId, std::uint64_t iops, std::uint64_t mib_per_s, Deadline) override;
  Task<Result<IoStat>> io_stat(DpuVolumeId, Deadline) override;

  Task<Result<std::vector<Function>>> list_functions(Deadline) override;
  Task<Result<Function>> open_function(std::string serial, Deadline, FunctionId preferred) override;
  Task<Result<void>> close_function(FunctionId, Deadline) override;
  Task<Result<std::vector<Exposure>>> list_exposures(Deadline) override;
  Task<Result<void>> expose(Expose, Deadline) override;
  Task<Result<void>> unexpose(FunctionId, std::uint32_t nsid, Deadline) override;

  void shutdown() override;

 private:
  Task<Result<Pool>> find_pool(PoolId id, Deadline);
  Task<Result<PoolId>> pool_of(DpuVolumeId id, Deadline);
  // The lane of the store that holds the volume.
  Task<Result<Keep>> volume_lane(DpuVolumeId id, std::string what, Deadline);
  Task<Result<Keep>> pool_lane(PoolId pool, std::string what, Deadline);
  Task<Result<void>> simple(std::string method, DpuVolumeId id, Deadline);
  // Deletes the volumes of a pool, children first; tells whether there were any.
  Task<Result<bool>> empty_pool(PoolId pool, Keep lane, Deadline);
  Result<FunctionDriver*> driver();
  void remember(const DpuVolumeId& id, const PoolId& pool);

  Target target_;
  std::string clear_method_;
  std::optional<Listener> listener_;
  // What the present session's target can; worked out again when the generation changes.
  mutable std::uint64_t known_generation_ = 0;
  mutable Capabilities capabilities_;
  std::unique_ptr<FunctionDriver> nvmf_, snap_;
  // An lvol never moves to another store, and its uuid is never used again: this never needs to forget,
  // except that it is bounded.
  std::unordered_map<DpuVolumeId, PoolId> pool_of_;
  // Volumes whose QoS was set in this session while nobody had them open (risk 13).
  std::set<DpuVolumeId> qos_touched_;
  std::uint64_t qos_generation_ = 0;
};

}  // namespace vnvme::dpu::spdk
