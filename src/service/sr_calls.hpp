// SR.*: a storage repository is one pool on a DPU.
#pragma once
#include "service/place.hpp"
#include "service/sr_config.hpp"

namespace vnvme::service {

class SrCalls {
 public:
  explicit SrCalls(Core& core) : core_(core) {}

  Task<Result<std::vector<smapi::Probe>>> probe(smapi::Context, smapi::Strings configuration);
  Task<Result<smapi::Strings>> create(smapi::Context, SrId, smapi::Strings configuration, std::string name,
                                      std::string description);
  // Local: looks at the store only, so that a boot without the DPU goes on (design: Boot).
  Task<Result<SrId>> attach(smapi::Context, smapi::Strings configuration);
  Task<Result<void>> detach(smapi::Context, SrId);
  Task<Result<void>> destroy(smapi::Context, SrId);
  Task<Result<smapi::SrStat>> stat(smapi::Context, SrId);
  Task<Result<std::vector<smapi::Volume>>> ls(smapi::Context, SrId);
  Task<Result<void>> set_name(smapi::Context, SrId, std::string);
  Task<Result<void>> set_description(smapi::Context, SrId, std::string);

 private:
  Task<Result<std::vector<dpu::Drive>>> choose_drives(Link& link, const SrConfig& config, Deadline deadline);
  Task<Result<void>> make_pool(Link& link, SrRecord& sr, const SrConfig& config, Deadline deadline);
  Task<Result<SrRecord>> take_pool(smapi::Context context, Link& link, SrRecord sr, const SrConfig& config);
  Task<void> recovered(SrId id, Deadline deadline);
  Task<Result<void>> edit(smapi::Context context, SrId id, std::function<void(SrRecord&)> change);
  smapi::SrStat describe(const SrRecord& sr);
  smapi::Probe probe_pool(const PoolView& view, const std::string& dpu);
  smapi::Probe probe_drive(const Link& link, const dpu::Drive& drive, const std::string& dpu);

  Core& core_;
};

}  // namespace vnvme::service
