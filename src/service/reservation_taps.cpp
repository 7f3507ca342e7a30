#include "service/reservation_taps.hpp"

namespace vnvme::service {
namespace {

using namespace vnvme::dpu;  // the port's own words

class TappedDpu final : public Dpu {
 public:
  TappedDpu(std::unique_ptr<Dpu> inner, DpuId id, ReservationFile& file)
      : in_(std::move(inner)), id_(std::move(id)), file_(file) {}

  Task<Result<std::vector<Function>>> list_functions(Deadline d) override {
    const auto before = opens_;
    auto functions = co_await in_->list_functions(d);
    // What was opened meanwhile may be missing in it.
    if (functions) file_.listed(id_, *functions, before == opens_);
    co_return functions;
  }
  Task<Result<Function>> open_function(std::string serial, Deadline d, FunctionId preferred) override {
    auto function = co_await in_->open_function(std::move(serial), d, std::move(preferred));
    ++opens_;
    if (function) file_.opened(id_, *function);
    co_return function;
  }

  void use_names(NameOf names) override { in_->use_names(std::move(names)); }
  std::uint64_t generation() const override { return in_->generation(); }
  bool connected() const override { return in_->connected(); }
  Task<Result<std::uint64_t>> wait_generation(std::uint64_t seen, Deadline d) override {
    return in_->wait_generation(seen, d);
  }
  Task<Result<void>> wait_lost(Deadline d) override { return in_->wait_lost(d); }
  Task<Result<Identity>> identify(Deadline d) override { return in_->identify(d); }
  const Capabilities& capabilities() const override { return in_->capabilities(); }
  const std::string& endpoint() const override { return in_->endpoint(); }
  std::string trouble() const override { return in_->trouble(); }
  Task<Result<std::vector<Drive>>> list_drives(Deadline d) override { return in_->list_drives(d); }
  Task<Result<std::vector<Raid>>> list_raids(Deadline d) override { return in_->list_raids(d); }
  Task<Result<void>> create_raid(CreateRaid r, Deadline d) override {
    return in_->create_raid(std::move(r), d);
  }
  Task<Result<void>> delete_raid(std::string name, Deadline d) override {
    return in_->delete_raid(std::move(name), d);
  }
  Task<Result<void>> settle(Deadline d) override { return in_->settle(d); }
  Task<Result<std::vector<Pool>>> list_pools(Deadline d) override { return in_->list_pools(d); }
  Task<Result<PoolId>> create_pool(CreatePool p, Deadline d) override {
    return in_->create_pool(std::move(p), d);
  }
  Task<Result<void>> delete_pool(PoolId p, Deadline d) override { return in_->delete_pool(std::move(p), d); }
  Task<Result<void>> quiet(PoolId p, Deadline d) override { return in_->quiet(std::move(p), d); }
  Task<Result<std::vector<DpuVolume>>> list_volumes(PoolId p, Deadline d) override {
    return in_->list_volumes(std::move(p), d);
  }
  Task<Result<std::vector<DpuVolume>>> list_volume_names(PoolId p, Deadline d) override {
    return in_->list_volume_names(std::move(p), d);
  }
  Task<Result<std::optional<DpuVolume>>> find_volume(PoolId p, std::string name, Deadline d) override {
    return in_->find_volume(std::move(p), std::move(name), d);
  }
  Task<Result<std::optional<DpuVolume>>> find_volume(DpuVolumeId v, Deadline d) override {
    return in_->find_volume(std::move(v), d);
  }
  Task<Result<DpuVolumeId>> create_volume(CreateVolume v, Deadline d) override {
    return in_->create_volume(std::move(v), d);
  }
  Task<Result<DpuVolumeId>> snapshot_volume(DpuVolumeId v, std::string name, Deadline d) override {
    return in_->snapshot_volume(std::move(v), std::move(name), d);
  }
  Task<Result<DpuVolumeId>> clone_volume(DpuVolumeId v, std::string name, Deadline d) override {
    return in_->clone_volume(std::move(v), std::move(name), d);
  }
  Task<Result<void>> resize_volume(DpuVolumeId v, Bytes size, Deadline d) override {
    return in_->resize_volume(std::move(v), size, d);
  }
  Task<Result<void>> shrink_volume(DpuVolumeId v, Bytes size, Deadline d) override {
    return in_->shrink_volume(std::move(v), size, d);
  }
  Task<Result<void>> rename_volume(DpuVolumeId v, std::string name, Deadline d) override {
    return in_->rename_volume(std::move(v), std::move(name), d);
  }
  Task<Result<void>> set_read_only(DpuVolumeId v, Deadline d) override {
    return in_->set_read_only(std::move(v), d);
  }
  Task<Result<void>> inflate_volume(DpuVolumeId v, Deadline d) override {
    return in_->inflate_volume(std::move(v), d);
  }
  Task<Result<void>> decouple_volume(DpuVolumeId v, Deadline d) override {
    return in_->decouple_volume(std::move(v), d);
  }
  Task<Result<void>> delete_volume(DpuVolumeId v, Deadline d) override {
    return in_->delete_volume(std::move(v), d);
  }
  Task<Result<void>> set_qos(DpuVolumeId v, std::uint64_t iops, std::uint64_t mib, Deadline d) override {
    return in_->set_qos(std::move(v), iops, mib, d);
  }
  Task<Result<IoStat>> io_stat(DpuVolumeId v, Deadline d) override { return in_->io_stat(std::move(v), d); }
  Task<Result<void>> close_function(FunctionId f, Deadline d) override {
    return in_->close_function(std::move(f), d);
  }
  Task<Result<std::vector<Exposure>>> list_exposures(Deadline d) override { return in_->list_exposures(d); }
  Task<Result<void>> expose(Expose e, Deadline d) override { return in_->expose(std::move(e), d); }
  Task<Result<void>> unexpose(FunctionId f, std::uint32_t nsid, Deadline d) override {
    return in_->unexpose(std::move(f), nsid, d);
  }
  void shutdown() override { in_->shutdown(); }

 private:
  std::unique_ptr<Dpu> in_;
  DpuId id_;
  ReservationFile& file_;
  std::uint64_t opens_ = 0;
};

bool is_reservation(const Change& change) {
  return std::holds_alternative<Put<ReservationRecord>>(change) ||
         std::holds_alternative<EraseReservation>(change);
}

}  // namespace

Task<Result<Snapshot>> TappedStore::load() {
  auto snapshot = co_await inner_.load();
  if (snapshot) {
    auto dpus = dpus_;
    for (const SrRecord& sr : snapshot->srs) dpus.insert(sr.dpu);
    file_.begin(snapshot->reservations, std::move(dpus));
  }
  co_return snapshot;
}

Task<Result<void>> TappedStore::commit(std::vector<Change> changes) {
  std::vector<Change> ours;
  for (const Change& change : changes)
    if (is_reservation(change)) ours.push_back(change);
  auto stored = co_await inner_.commit(std::move(changes));
  if (stored) file_.committed(ours);
  co_return stored;
}

std::unique_ptr<dpu::Dpu> tap(std::unique_ptr<dpu::Dpu> inner, DpuId id, ReservationFile& file) {
  return std::make_unique<TappedDpu>(std::move(inner), std::move(id), file);
}

}  // namespace vnvme::service
