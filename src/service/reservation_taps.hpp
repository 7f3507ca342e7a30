// How ReservationFile learns of everything: it sits between the services and
// two of their ports, the store and each DPU. What passes through is neither
// changed nor delayed.
#pragma once
#include <memory>

#include "service/reservation_file.hpp"
#include "vnvme/store.hpp"

namespace vnvme::service {

class TappedStore final : public Store {
 public:
  // All outlive it. `dpus`: those of the configuration.
  TappedStore(Store& inner, ReservationFile& file, std::set<DpuId> dpus)
      : inner_(inner), file_(file), dpus_(std::move(dpus)) {}
  Task<Result<Snapshot>> load() override;
  Task<Result<void>> commit(std::vector<Change> changes) override;

 private:
  Store& inner_;
  ReservationFile& file_;
  std::set<DpuId> dpus_;
};

// `file` outlives it.
std::unique_ptr<dpu::Dpu> tap(std::unique_ptr<dpu::Dpu> inner, DpuId id, ReservationFile& file);

}  // namespace vnvme::service
