// The services as the rest of the daemon sees them: SMAPI calls, admin verbs,
// start and stop. Each call is in the file of its kind (sr_calls,
// volume_calls, lineage_calls, datapath_calls, admin_calls).
#pragma once
#include <memory>

#include "service/admin_calls.hpp"
#include "service/datapath_calls.hpp"
#include "service/housekeeper.hpp"
#include "service/messenger.hpp"
#include "service/publisher.hpp"
#include "service/spares.hpp"
#include "service/sr_calls.hpp"
#include "service/toolstack.hpp"
#include "service/volume_calls.hpp"
#include "vnvme/admin.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::service {

class Services : public smapi::Handler, public AdminHandler {
 public:
  Services(Ports ports, Options options);

  // Reads the store, makes the links to all DPUs that the store or the configuration names, starts the
  // housekeeper. Calls may come as soon as it completed; they wait for their DPU themselves.
  Task<Result<void>> start();
  // Ends everything that runs; calls in flight fail with `cancelled`. idle() is true when nothing runs any
  // more.
  void stop() { core_.stop(); }
  [[nodiscard]] bool idle() const { return core_.running() == 0; }
  Core& core() { return core_; }
  Housekeeper& housekeeper() { return housekeeper_; }

  std::optional<std::string> recall(const RequestId&) override;
  Task<Result<void>> printing(smapi::Context, std::string answer) override;
  void abandoned(const RequestId&) override;

  Task<Result<std::vector<smapi::Probe>>> sr_probe(smapi::Context, smapi::Strings) override;
  Task<Result<smapi::Strings>> sr_create(smapi::Context, SrId, smapi::Strings, std::string,
                                         std::string) override;
  Task<Result<SrId>> sr_attach(smapi::Context, smapi::Strings) override;
  Task<Result<void>> sr_detach(smapi::Context, SrId) override;
  Task<Result<void>> sr_destroy(smapi::Context, SrId) override;
  Task<Result<smapi::SrStat>> sr_stat(smapi::Context, SrId) override;
  Task<Result<std::vector<smapi::Volume>>> sr_ls(smapi::Context, SrId) override;
  Task<Result<void>> sr_set_name(smapi::Context, SrId, std::string) override;
  Task<Result<void>> sr_set_description(smapi::Context, SrId, std::string) override;

  Task<Result<smapi::Volume>> volume_create(smapi::Context, SrId, std::string, std::string, Bytes,
                                            bool) override;
  Task<Result<smapi::Volume>> volume_snapshot(smapi::Context, SrId, VolumeId) override;
  Task<Result<smapi::Volume>> volume_clone(smapi::Context, SrId, VolumeId) override;
  Task<Result<void>> volume_destroy(smapi::Context, SrId, VolumeId) override;
  Task<Result<smapi::Volume>> volume_stat(smapi::Context, SrId, VolumeId) override;
  Task<Result<void>> volume_set_name(smapi::Context, SrId, VolumeId, std::string) override;
  Task<Result<void>> volume_set_description(smapi::Context, SrId, VolumeId, std::string) override;
  Task<Result<void>> volume_set(smapi::Context, SrId, VolumeId, std::string, std::string) override;
  Task<Result<void>> volume_unset(smapi::Context, SrId, VolumeId, std::string) override;
  Task<Result<void>> volume_resize(smapi::Context, SrId, VolumeId, Bytes) override;
  Task<Result<void>> volume_revert(smapi::Context, SrId, VolumeId, VolumeId) override;

  Task<Result<smapi::Backend>> datapath_attach(smapi::Context, std::string, std::string) override;
  Task<Result<void>> datapath_activate(smapi::Context, std::string, std::string, bool) override;
  Task<Result<void>> datapath_deactivate(smapi::Context, std::string, std::string) override;
  Task<Result<void>> datapath_detach(smapi::Context, std::string, std::string) override;

  Task<Result<nlohmann::json>> admin(std::string verb, nlohmann::json args, Deadline) override;

 private:
  Core core_;
  SrCalls sr_;
  VolumeCalls volume_;
  LineageCalls lineage_;
  DatapathCalls datapath_;
  Housekeeper housekeeper_;
  Trash trash_;
  Toolstack toolstack_;
  Spares spares_;
  Publisher publisher_;
  Messenger messenger_;
  AdminCalls admin_;
};

}  // namespace vnvme::service
