// The DPU port on a Kalray K200LP (late binding: the card shows a volume on a function as soon as the volume
// has the function's name). It stands on the SPDK client, reached through HTTP, and adds what the names mean:
// exposing a volume is renaming it, and everywhere above this file it keeps the name that it had.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dpu/kalray/slots.hpp"
#include "dpu/registry.hpp"
#include "rpc/asio/lanes.hpp"

namespace vnvme::dpu::kalray {

// "kalray:ADDRESS:PORT" with credentials and functions.
Result<std::unique_ptr<Dpu>> make_kalray_dpu(boost::asio::io_context& io, const Options& options);
// With a card of one's own behind it: tests. `card` is an SPDK target as src/dpu/spdk has it.
std::unique_ptr<Dpu> make_kalray_dpu(boost::asio::io_context& io, std::unique_ptr<Dpu> card,
                                     std::vector<Slot> slots);

class KalrayDpu final : public Dpu {
 public:
  KalrayDpu(boost::asio::io_context& io, std::unique_ptr<Dpu> card, std::vector<Slot> slots);

  void use_names(NameOf names) override { name_of_ = std::move(names); }
  [[nodiscard]] std::uint64_t generation() const override { return card_->generation(); }
  [[nodiscard]] bool connected() const override { return card_->connected(); }
  Task<Result<std::uint64_t>> wait_generation(std::uint64_t seen, Deadline) override;
  Task<Result<void>> wait_lost(Deadline) override;
  Task<Result<Identity>> identify(Deadline) override;
  [[nodiscard]] const Capabilities& capabilities() const override;
  [[nodiscard]] const std::string& endpoint() const override { return card_->endpoint(); }
  [[nodiscard]] std::string trouble() const override { return card_->trouble(); }

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

  void shutdown() override { card_->shutdown(); }

 private:
  using Found = std::optional<DpuVolume>;
  // One change of names at a time on the whole card.
  Task<Result<rpc::Keep>> lane(std::string what, Deadline);
  [[nodiscard]] tl::unexpected<Error> refuse(Errc code, std::string text) const;
  [[nodiscard]] bool is_slot(std::string_view name) const { return slot_of(slots_, name) != nullptr; }
  [[nodiscard]] Result<void> check_name(const std::string& name) const;
  // Its own name: as last heard from the services, else as the store has it; empty: not ours.
  [[nodiscard]] std::string own_name(const DpuVolumeId& id) const;
  void remember(const DpuVolumeId& id, std::string name);

  // What stands behind the slots' names, asked of the card.
  Task<Result<std::vector<Bound>>> bound(Deadline);
  Task<Result<std::optional<Bound>>> bound_to(PoolId store, std::string slot, Deadline);
  Task<Result<PoolId>> store(Deadline);  // empty: the card has none
  // With own names, of itself and of its relatives.
  Task<Result<Found>> translated(Found, Deadline);
  void translate(std::vector<DpuVolume>& all) const;
  Task<Result<Found>> find_in_lane(PoolId pool, std::string name, Deadline);

  Task<Result<void>> bind(Expose want, const Slot& slot, Deadline);
  Task<Result<void>> rename_checked(DpuVolumeId id, std::string name, Deadline);

  std::unique_ptr<Dpu> card_;
  std::vector<Slot> slots_;
  rpc::Lanes lanes_;
  NameOf name_of_;
  Lent lent_;
  std::map<DpuVolumeId, std::string> names_;  // of volumes that were exposed here, bounded
  mutable Capabilities capabilities_;
};

}  // namespace vnvme::dpu::kalray
